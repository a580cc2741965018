"""The report as it lies on disk."""

import csv
import json
import re
from argparse import Namespace
from html.parser import HTMLParser

import pytest

from lsd_experiments.descriptors.agreement import CHANNELS
from lsd_experiments.errors import UserError
from lsd_experiments.report.command import command
from tests.report.making import LAST
from tests.scripts import ROOT, run_script


class Page(HTMLParser):
    """What a page refers to, and the text of its cells, by table."""

    def __init__(self, text):
        super().__init__()
        self.links, self.tables, self.open = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1].append(data)


def report(out, *places, **more):
    command(
        Namespace(
            **{
                "results": [str(place) for place in places],
                "out": out,
                "validation": [],
                "measure": False,
                "resamples": 50,
                "title": "A <report>",
                **more,
            }
        )
    )
    return out


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(results, tmp_path_factory):
    directory = tmp_path_factory.mktemp("reports")
    rows = [{"channel": name, "correlation": None if name == "size" else 0.85, "error": 0.25, "error_of_constant": 0.5,
             "voxels": 7} for name in CHANNELS]
    inputs = {"labels": "test.zarr:ids", "variant": "zebrafinch/lsd", "iteration": 70}
    (directory / "lsds.json").write_text(json.dumps({"descriptors": rows, "provenance": {"inputs": inputs}}))
    return report(directory / "report", results, directory / "lsds.json")


def test_the_page_needs_nothing_but_what_lies_beside_it(whole):
    text = (whole / "index.html").read_text()
    page = Page(text)
    assert "A &lt;report&gt;" in text
    assert "<script" not in text
    pictures = {link for link in page.links if link != "data:,"}
    assert pictures == {f"images/{path.name}" for path in (whole / "images").iterdir()}
    assert {"images/curves_1.png", "images/learning.png", "images/place_1_1.png"} <= pictures


def test_markdown_and_tables_say_the_same(whole):
    tables, text = Page((whole / "index.html").read_text()).tables, (whole / "report.md").read_text()
    assert tables == [
        [[cell.replace("\\|", "|") for cell in line[2:-2].split(" | ")] for line in block.splitlines() if "---" not in line]
        for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    ]
    summary = rows(whole / "summary_1.csv")
    assert [list(row.values()) for row in summary] == [[("" if cell == "–" else cell) for cell in row] for row in tables[0][1:]]


def test_numbers_are_those_of_the_scores(whole, results):
    scored = {name: json.loads((results / f"{name}_hist_quant_50.json").read_text())["curves"] for name in ("mtlsd_0", "mtlsd_1")}
    best = [min(curves["hist_quant_50"], key=lambda row: row["voi_sum"]) for curves in scored.values()]
    summary = {row["variant"]: row for row in rows(whole / "summary_1.csv")}
    mean, difference = sum(row["voi_split"] for row in best) / 2, abs(best[0]["voi_split"] - best[1]["voi_split"])
    assert summary["mtlsd"]["VOI split"] == f"{mean:.3f} ± {difference / 2**0.5:.3f}"
    assert (summary["mtlsd"]["seeds"], summary["baseline"]["seeds"]) == ("0, 1", "0, 1")
    assert summary["mtlsd"]["threshold"] == ", ".join(f"{row['threshold']:g}" for row in best)  # of each, also where they are one
    every = [
        row for row in rows(whole / "scores.csv") if row["variant"] == "mtlsd" and row["seed"] == "1" and row["kind"] == "labels"
    ]
    assert [float(row["voi_sum"]) for row in every] == [row["voi_sum"] for row in scored["mtlsd_1"]["hist_quant_50"]]
    assert [row["counts"] for row in every] == ["0", "1", "0", "0"]
    provenance = rows(whole / "provenance.csv")
    assert {row["key of scores"] for row in provenance} == {
        json.loads(path.read_text())["provenance"]["key"] for path in results.glob("*_hist_quant_50.json")
    }
    cost = {row["variant"]: row for row in rows(whole / "cost.csv")}
    assert (cost["mtlsd"]["training, GiB"], cost["baseline"]["training, GiB"]) == ("1.25", "1.25")
    assert (cost["mtlsd"]["iterations"], cost["mtlsd"]["training, CPU s"], cost["mtlsd"]["prediction, CPU s per Mvoxel"]) == (
        str(LAST),
        "100",
        "",
    )


def test_how_descriptors_correlate(whole, tmp_path):
    """Of the newest validation of a training, and of what evaluate_lsds.py wrote."""
    first, second = rows(whole / "descriptors.csv")
    assert [first[key] for key in ("network", "seed", "iterations", "offset z", "size")] == ["mtlsd", "0", "4", "0.80", ""]
    assert (first["above 0.8"], first["squared error"], first["of a constant"]) == ("0", "0.0100", "0.0200")
    assert (second["network"], second["where"], second["iterations"]) == ("zebrafinch/lsd", "test.zarr:ids", "70")
    assert (second["variance yy"], second["size"], second["above 0.8"], second["squared error"]) == ("0.85", "", "9", "0.2500")
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "lsds.json").write_text((whole.parent / "lsds.json").read_text())
    (row,) = rows(report(tmp_path / "of a directory", alone, alone / "lsds.json") / "descriptors.csv")
    assert row == second, "a directory that holds nothing else, and a file in it, once"
    (row,) = rows(report(tmp_path / "named", f"mine={alone / 'lsds.json'}") / "descriptors.csv")
    assert row == {**second, "network": "mine"}
    (tmp_path / "broken.json").write_text('{"descriptors": [{}]}')
    with pytest.raises(UserError, match=r"broken\.json: not what evaluate_lsds"):
        report(tmp_path / "report", tmp_path / "broken.json")


def test_how_sure_the_ranks_are(whole):
    ranks = {row["better than"]: row for row in rows(whole / "ranks_1.csv")}
    assert ranks["mtlsd"]["mtlsd"] == ""
    shares = [int(ranks[a][b].removesuffix(" %")) for a, b in (("mtlsd", "baseline"), ("baseline", "mtlsd"))]
    assert 99 <= sum(shares) <= 100
    assert "of resamples" in (whole / "report.md").read_text()


def test_skeletons_are_a_group_of_their_own(whole):
    text = (whole / "report.md").read_text()
    assert "Nothing of one group is compared with another one" in text
    assert "resampling takes blocks of labels" in text
    assert rows(whole / "summary_1.csv")[0]["ERL (nm)"] not in ("", "0")


def test_what_is_missing_is_a_dash(copied, tmp_path):
    """No training, no volumes, no other seed: a report all the same."""
    (copied / "networks/seed0/mtlsd/train_net_checkpoint_4.weights.h5").unlink()
    (copied / "networks/seed1").rename(copied / "elsewhere")
    (copied / "volume.zarr/volumes/labels/neuron_ids/.zarray").unlink()
    out = report(tmp_path / "report", copied / "mtlsd_0.toml", copied / "baseline_1_hist_quant_50.json")
    summary = {row["variant"]: row for row in rows(out / "summary_1.csv")}
    assert {(row["seeds"], row["95 % interval"], "±" in row["VOI sum"]) for row in summary.values()} == {
        ("1 of unknown seed", "", False)
    }
    cost = {row["variant"]: row for row in rows(out / "cost.csv")}
    assert {cost["mtlsd"][key] for key in ("parameters", "TFLOP per Mvoxel", "TFLOP per step", "prediction, GiB")} == {""}
    assert {cost["baseline"][key] for key in cost["baseline"] if key not in ("variant", "iterations")} == {""}
    text = (out / "report.md").read_text()
    assert "What is missing" in text
    assert "how sure the ranks are is not known" in text
    assert not [*(out / "images").glob("place*")]


def test_volumes_that_are_not_what_was_scored_are_not_resampled(copied, tmp_path):
    """Labels that changed since: the scores stay, and nothing is drawn from the wrong ones."""
    from lsd_experiments.arrays import open_volume

    volume = open_volume(copied / "volume.zarr", "volumes/labels/neuron_ids", writable=True)
    values = volume.read()
    values[:, :20] = 1
    volume.write(volume.box, values)
    out = report(tmp_path / "report", copied / "mtlsd_0.toml")
    assert rows(out / "summary_1.csv")[0]["95 % interval"] == ""
    assert "is not the ground truth that was scored against" in (out / "report.md").read_text()


def test_what_is_not_evaluated_yet_is_said(copied, tmp_path):
    (copied / "baseline_0_hist_quant_50.json").unlink()
    out = report(tmp_path / "report", copied / "mtlsd_0.toml", copied / "baseline_0.toml")
    assert [row["variant"] for row in rows(out / "summary_1.csv")] == ["mtlsd"]
    assert "- baseline_0.toml: holds no scores (yet), and is left out" in (out / "report.md").read_text()


def test_only_a_report_is_replaced(results, tmp_path):
    one = results / "mtlsd_0.toml"
    out = report(tmp_path / "report", one)
    (out / "images/old.png").write_text("old")
    report(out, one)
    assert not (out / "images/old.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "index.html").write_text("<html>mine</html>")
    with pytest.raises(UserError, match="is no report"):
        report(other, one)
    assert [path.name for path in other.iterdir()] == ["index.html"]
    (tmp_path / "empty").mkdir()
    report(tmp_path / "empty", one)


def test_the_command(results, tmp_path):
    done = run_script(ROOT / "02_train" / "report.py", str(results / "nothing"), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not list(tmp_path.iterdir())
    done = run_script(
        ROOT / "02_train" / "report.py", str(results / "mtlsd_0_hist_quant_50.json"), "--out", str(tmp_path / "out")
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("out/index.html")


@pytest.mark.slow
def test_measured_costs(results, tmp_path):
    """A process of its own predicts a block of each network."""
    out = report(tmp_path / "report", results / "mtlsd_0.toml", measure=True)
    (cost,) = rows(out / "cost.csv")
    assert float(cost["prediction, CPU s per Mvoxel"]) > 0
    assert float(cost["prediction, GiB"]) > 0.1
