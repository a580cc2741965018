"""The table of scores: rows from what evaluate.py writes, best first."""

import csv
import dataclasses
import json
import math
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import write_scores
from lsd_experiments.provenance import network_of, provenance
from lsd_experiments.scores import Entry, ScoresDatabase, read_entries
from lsd_experiments.scores.tables import as_csv, as_text, best_first, of_one_truth
from tests.scripts import run_script

SCRIPT = Path(__file__).parents[2] / "03_predict" / "scores.py"
PUBLISHED = ["setup", "iteration", "threshold", "erl_norm", "xpress_voi", "xpress_rand", "xpress_erl_voi", "xpress_erl_rand"]
FILE = {"name": "skeletons.npz", "fingerprint": "sha256:0"}


def skeleton_row(threshold, score):
    return {"threshold": threshold, "erl": 100 * score, "normalized_erl": score / 2, "xpress_normalized_erl": score,
            "voi_split": 0.5, "voi_merge": 0.5, "voi_sum": 1.0, "xpress_voi": 0.9, "xpress_rand": 0.8, "xpress_erl_voi": 0.7,
            "xpress_erl_rand": score}


def label_row(threshold, voi):
    return {"threshold": threshold, "voi_split": voi / 2, "voi_merge": voi / 2, "voi_sum": voi, "adapted_rand_error": 0.1}


def written(directory, name, rows, iteration=100, network="xpress/baseline", truth="skeletons", merge_function="hist_quant_50",
            parity=False, roi=None, file=FILE, **more):
    """The JSON file of an evaluation."""
    parameters = {"roi_offset": roi, "roi_shape": roi, **({"parity": parity} if truth == "skeletons" else {}), **more}
    inputs = {truth: file, "luts": {"name": merge_function, "fingerprint": f"{name} of {directory.name}"}}
    made = {**provenance("evaluate", parameters, inputs), "curves": {merge_function: truth},
            **({"network": {"name": network, "iteration": iteration}} if network else {})}
    return write_scores({merge_function: rows}, directory / name, made)[0]


@pytest.fixture
def table(tmp_path):
    """Two checkpoints with three thresholds each."""
    database = ScoresDatabase(tmp_path / "results.db")
    for iteration, scores in ((100, (0.2, 0.5, 0.4)), (200, (0.1, 0.3, 0.6))):
        rows = [skeleton_row(t, score) for t, score in zip((0.1, 0.5, 0.9), scores, strict=True)]
        database.add(read_entries(written(tmp_path, f"s{iteration}", rows, iteration)))
    return database


def run(*arguments):
    return run_script(SCRIPT, *arguments)


def test_rows_say_where_they_come_from(tmp_path):
    (entry,) = read_entries(written(tmp_path, "s", [skeleton_row(0.5, 0.6)], roi=[8316, 8316.5, 0]))
    assert (entry.network, entry.checkpoint) == ("xpress/baseline", 100)
    assert (entry.merge_function, entry.threshold) == ("hist_quant_50", 0.5)
    assert entry.truth == "skeletons.npz, 8316 8316.5 0 + 8316 8316.5 0 nm"
    assert entry.scores["erl_norm"] == 0.3
    (as_published,) = read_entries(written(tmp_path, "p", [skeleton_row(0.5, 0.6)], parity=True))
    assert (as_published.truth, as_published.scores["erl_norm"]) == ("skeletons.npz, parity", 0.6)
    (of_labels,) = read_entries(written(tmp_path, "l", [label_row(0.5, 2)], truth="labels"))
    assert "erl_norm" not in of_labels.scores


def test_best_first(table):
    entries = table.entries()
    assert len(entries) == 6
    metric, ranked = best_first(entries)
    assert metric == "xpress_erl_rand"
    assert [(e.checkpoint, e.threshold) for e in ranked][:3] == [(200, 0.9), (100, 0.5), (100, 0.9)]
    assert [e.checkpoint for e in best_first(entries, top=3, one_per_checkpoint=True)[1]] == [200, 100]
    assert [e.checkpoint for e in best_first(entries, "erl_norm", top=1)[1]] == [200]
    with pytest.raises(UserError, match="did you mean 'xpress_rand'"):
        best_first(entries, "xpres_rand")
    with pytest.raises(UserError, match=r"no 'adapted_rand_error': they are against skeletons; there are .*erl_norm"):
        best_first(entries, "adapted_rand_error")
    assert best_first([], None) == ("", [])


def test_the_lowest_first_of_labels(tmp_path):
    rows = [label_row(0.1, 2), label_row(0.2, 1), label_row(0.3, math.nan)]
    metric, ranked = best_first(read_entries(written(tmp_path, "l", rows, truth="labels")))
    assert (metric, [e.threshold for e in ranked]) == ("voi_sum", [0.2, 0.1, 0.3])
    assert as_csv(ranked).splitlines()[0] == \
        "setup,iteration,threshold,merge_function,truth,voi_split,voi_merge,voi_sum,adapted_rand_error"


def test_a_row_is_replaced_and_no_other(tmp_path, table):
    before = table.entries()
    table.add(read_entries(written(tmp_path, "again", [skeleton_row(0.5, 0.99)])))
    after = table.entries()
    assert [e for e in after if (e.checkpoint, e.threshold) != (100, 0.5)] == \
        [e for e in before if (e.checkpoint, e.threshold) != (100, 0.5)]
    assert best_first(after)[1][0].scores["xpress_erl_rand"] == 0.99
    for change in ({"network": "b"}, {"iteration": 300}, {"merge_function": "mean"}, {"parity": True}):
        count = len(table.entries())
        table.add(read_entries(written(tmp_path, "more", [skeleton_row(0.5, 0.5)], **change)))
        assert len(table.entries()) == count + 1


def test_scores_against_different_truths_are_not_mixed(tmp_path, table):
    table.add(read_entries(written(tmp_path, "l", [label_row(0.1, 2)], roi=[1, 2, 3])))
    with pytest.raises(UserError, match=r"against 2 ground truths, .*: 'skeletons.npz'; 'skeletons.npz, 1 2 3 \+ 1 2 3 nm'"):
        of_one_truth(table.entries(), None)
    assert len(of_one_truth(table.entries(), "skeletons.npz")) == 6
    with pytest.raises(UserError, match=r"no scores against 'skeleton.npz'; did you mean 'skeletons.npz'"):
        of_one_truth(table.entries(), "skeleton.npz")


@pytest.mark.parametrize(("change", "name"), [
    ({"file": {**FILE, "fingerprint": "sha256:1"}}, "skeletons.npz, sha256:1"),
    ({"skeletons_scale": 1000.0}, "skeletons.npz, sha256:0, 1000 nm per unit"),
    ({"skeletons_scale": 1.0}, "skeletons.npz"),  # negative control: this is what the others were scored with
])
def test_truths_of_one_name_with_other_content_are_not_mixed(tmp_path, table, change, name):
    """The synthetic challenges of two seeds have skeletons of one name."""
    before = table.entries()
    for score in (0.98, 0.99):  # what is added again replaces itself only
        table.add(read_entries(written(tmp_path, "other", [skeleton_row(0.5, score)], **change)))
    found = [entry for entry in table.entries() if entry not in before or entry.scores["xpress_erl_rand"] == 0.99]
    assert [(entry.truth, entry.scores["xpress_erl_rand"]) for entry in found] == [(name, 0.99)]
    assert len(table.entries()) == len(before) + (name != "skeletons.npz")


def test_a_table_of_before_goes_on(tmp_path, table):
    """It knew nothing of truths' content."""
    before = table.entries()
    with sqlite3.connect(table.path) as connection:
        connection.execute("DROP TABLE truths")
    connection.close()
    assert table.entries() == before
    table.add(read_entries(written(tmp_path, "more", [skeleton_row(0.5, 0.5)], iteration=300)))
    assert len(of_one_truth(table.entries(), None)) == len(before) + 1


def test_csv_begins_as_the_published_one(table):
    entries = best_first(table.entries())[1]
    lines = list(csv.reader(as_csv(entries).splitlines()))
    assert lines[0][:len(PUBLISHED)] == PUBLISHED
    assert lines[0][len(PUBLISHED):][:2] == ["merge_function", "truth"]
    assert lines[1][:4] == ["xpress/baseline", "200", "0.9", "0.3"]
    assert len(lines) == 7
    text = as_text(entries, "erl").splitlines()
    assert text[0].split()[:3] == ["setup", "iteration", "merge"]
    assert (text[0].split()[-1], text[1].split()[-1]) == ("erl", "60")
    assert as_csv([]).split() == [",".join(PUBLISHED)]


def test_whether_it_has_scores(tmp_path, table):
    made = json.loads((tmp_path / "s100.json").read_text())["provenance"]["key"]
    assert table.holds(made)
    assert not table.holds("another")
    assert not ScoresDatabase(tmp_path / "none.db").holds(made)
    assert not (tmp_path / "none.db").exists()


def test_other_files_are_refused_in_one_line(tmp_path):
    published = tmp_path / "published.db"
    with sqlite3.connect(published) as connection:
        connection.execute("CREATE TABLE scores_table (network text, checkpoint int, threshold real, scores text)")
    (tmp_path / "text.db").write_text("no database at all, in any way")
    newer = ScoresDatabase(tmp_path / "newer.db")
    newer.add([])
    with sqlite3.connect(newer.path) as connection:
        connection.execute("PRAGMA user_version = 2")
    entry = Entry("n", 1, "mean", 0.5, "t", "k", {})
    for name, says in (("published.db", "a database of something else"), ("text.db", "file is not a database"),
                       ("newer.db", "another version of this software"), ("", "is a directory")):
        before = (tmp_path / name).read_bytes() if name else b""
        for call in (lambda name=name: ScoresDatabase(tmp_path / name).add([entry]), ScoresDatabase(tmp_path / name).entries):
            with pytest.raises(UserError, match=says) as refused:
                call()
            assert "\n" not in str(refused.value)
        assert not name or (tmp_path / name).read_bytes() == before
    ScoresDatabase(tmp_path / "ours.db").add([entry])  # negative control
    assert ScoresDatabase(tmp_path / "ours.db").entries() == [entry]
    with pytest.raises(UserError, match="no such file"):
        ScoresDatabase(tmp_path / "none.db").entries()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"curves": {}, "provenance": []}', '''
    {"curves": {"a": [1]}, "provenance": {"curves": {"a": "labels"}, "network": {"name": "n", "iteration": 1}, "inputs": {}}}'''])
def test_what_evaluate_did_not_write_is_refused(tmp_path, text):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(UserError, match=r"other\.json: "):
        read_entries(tmp_path / "other.json")


def test_averages_of_weights_are_another_network(tmp_path):
    """From a prediction's provenance on; scores with the plain weights of the same checkpoint stay beside."""
    made = {"stage": "predict", "parameters": {"variant": "xpress/baseline", "iteration": 100}}
    database = ScoresDatabase(tmp_path / "results.db")
    for score, more in ((0.5, {}), (0.6, {"averaged_weights": True})):
        path = written(tmp_path, "s", [skeleton_row(0.5, score)])
        facts = network_of(network_of({**made, "parameters": {**made["parameters"], **more}}))  # as the next stage has it
        summary = json.loads(path.read_text())
        path.write_text(json.dumps({**summary, "provenance": {**summary["provenance"], **facts}}))
        database.add(read_entries(path))
    found = {entry.network: entry.scores["xpress_erl_rand"] for entry in database.entries()}
    assert found == {"xpress/baseline": 0.5, "xpress/baseline, averaged": 0.6}


def test_a_network_that_is_not_known_must_be_named(tmp_path):
    path = written(tmp_path, "s", [skeleton_row(0.5, 0.5)], network=None)
    with pytest.raises(UserError, match="Say so with --network NAME --iteration N"):
        read_entries(path)
    (entry,) = read_entries(path, "mine", 7)
    assert (entry.network, entry.checkpoint) == ("mine", 7)


def test_writers_at_the_same_time_lose_no_row(tmp_path):
    """Eight processes make the file and write to it at once."""
    code = """
import sys, time
from lsd_experiments.scores import Entry, ScoresDatabase
number, begin, path = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
while time.time() < begin: pass
for step in range(10):
    scores = {"voi_sum": step}
    ScoresDatabase(path).add([Entry("n", number, "mean", t / 100, "truth", "key", scores) for t in range(step, step + 5)])
"""
    begin = str(time.time() + 2)
    writers = [subprocess.Popen([sys.executable, "-c", code, str(number), begin, tmp_path / "results.db"], stderr=subprocess.PIPE)
               for number in range(8)]
    errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 8, errors
    entries = ScoresDatabase(tmp_path / "results.db").entries()
    assert [(e.checkpoint, e.threshold) for e in entries] == [(n, t / 100) for n in range(8) for t in range(14)]
    assert {e.scores["voi_sum"] for e in entries if e.threshold == 0.09} == {9}  # the last that wrote it


def test_a_write_that_fails_leaves_what_was_there(tmp_path, table):
    entries = table.entries()
    wrong = dataclasses.replace(entries[0], network=None, scores={})
    with pytest.raises(sqlite3.IntegrityError):
        table.add([dataclasses.replace(entries[0], network="new"), wrong])
    assert table.entries() == entries


def test_the_commands(tmp_path):
    paths = [written(tmp_path, f"s{n}", [skeleton_row(0.5, n / 1000)], n) for n in (100, 200, 300)]
    done = run("add", *paths, "--db", tmp_path / "r.db")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/r.db: 3 rows of 3 checkpoints\n"), done.stderr
    done = run("show", "--db", tmp_path / "r.db", "--by", "xpress_erl_rand", "--top", 2, "--one-per-checkpoint", "--csv",
               tmp_path / "best.csv")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["iteration", "300", "200"], done.stderr
    assert len((tmp_path / "best.csv").read_text().splitlines()) == 3
    for arguments, says in ((("show", "--db", tmp_path / "none.db"), "no such file"),
                            (("show", "--db", tmp_path / "r.db", "--by", "voi"), "no score 'voi'"),
                            (("add", paths[0], tmp_path / "none.json", "--db", tmp_path / "new.db"), "no such file")):
        done = run(*arguments)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert says in done.stderr
    assert not (tmp_path / "new.db").exists()
