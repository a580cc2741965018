"""Thresholds, the table, and the files."""

import csv
import json

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import (
    best,
    check_prefix,
    contingency,
    evaluate_segmentation,
    evaluate_thresholds,
    table,
    write_scores,
)

FRAGMENTS = np.repeat(np.arange(1, 7, dtype=np.uint64), 10)
LABELS = np.repeat(np.array([1, 1, 2, 2, 3, 3], np.uint64), 10)
LUTS = {  # nothing merged, just right, one merge too many
    0.7: [[1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 5, 5]],
    0.1: [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]],
    0.4: [[1, 2, 3, 4, 5, 6], [1, 1, 3, 3, 5, 5]],
}


@pytest.fixture
def rows():
    return evaluate_thresholds(contingency(FRAGMENTS, LABELS), LUTS.items())


def test_each_threshold_scores_as_its_segmentation(rows):
    assert [row["threshold"] for row in rows] == [0.1, 0.4, 0.7]
    for row in rows:
        segmentation = np.array([0, *LUTS[row["threshold"]][1]])[FRAGMENTS]
        assert row == {"threshold": row["threshold"], **evaluate_segmentation(segmentation, LABELS)}
    assert rows[0]["voi_sum"] > 0 == rows[1]["voi_sum"] < rows[2]["voi_sum"]


def test_the_best_has_the_lowest_sum(rows):
    assert best(rows) == 1
    assert best(rows[::2]) == 1  # 0.7 (0.667 bits) before 0.1 (1 bit)
    assert best([rows[0], rows[0]]) == 0


def test_table_marks_the_best(rows):
    lines = table(rows).splitlines()
    assert len(lines) == 4
    assert ["best" in line for line in lines] == [False, False, True, False]
    assert lines[1].split() == ["0.100", "1.000", "0.000", "1.000", f"{rows[0]['adapted_rand_error']:.3f}"]
    assert "best" not in table(rows[:1])  # one row needs no mark


def test_long_tables_are_thinned_and_keep_ends_and_best():
    many = [{"threshold": t, "voi_split": 0.5, "voi_merge": 0.5, "voi_sum": abs(t - 57)} for t in range(100)]
    lines = table(many, limit=8).splitlines()[1:]
    assert len(lines) == 8
    assert [line.split()[0] for line in lines if "best" in line] == ["57.000"]
    assert (lines[0].split()[0], lines[-1].split()[0]) == ("0.000", "99.000")


def test_written_files_say_the_same(rows, tmp_path):
    paths = write_scores(rows, tmp_path / "new" / "scores", {"stage": "evaluate"})
    assert [path.name for path in paths] == ["scores.json", "scores.csv", "scores.png"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["scores.csv", "scores.json", "scores.png"]
    summary = json.loads(paths[0].read_text())
    assert summary["curves"][""] == rows
    assert summary["best"][""] == rows[1]
    assert summary["provenance"] == {"stage": "evaluate"}
    with paths[1].open() as stream:
        assert [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)] == rows
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_several_curves(rows, tmp_path):
    curves = {"baseline": rows[:2], "mtlsd": rows}
    text = table(curves)
    assert sum("best" in line for line in text.splitlines()) == 2
    assert sum(line.startswith("mtlsd") for line in text.splitlines()) == 3
    paths = write_scores(curves, tmp_path / "scores")
    with paths[1].open() as stream:
        assert [row["curve"] for row in csv.DictReader(stream)] == ["baseline"] * 2 + ["mtlsd"] * 3
    assert list(json.loads(paths[0].read_text())["best"]) == ["baseline", "mtlsd"]


def test_rewriting_replaces_and_a_failure_keeps_the_old(rows, tmp_path, monkeypatch):
    write_scores(rows, tmp_path / "s")
    before = (tmp_path / "s.png").read_bytes()
    write_scores(rows[:1], tmp_path / "s")
    assert (tmp_path / "s.png").read_bytes() != before

    def broken(curves, path, metric):
        path.write_bytes(b"half")
        raise OSError("no space")

    now = (tmp_path / "s.png").read_bytes()
    monkeypatch.setattr("lsd_experiments.evaluation.reports.plot_scores", broken)
    with pytest.raises(OSError, match="no space"):
        write_scores(rows, tmp_path / "s")
    assert (tmp_path / "s.png").read_bytes() == now
    assert len(list(tmp_path.iterdir())) == 3


def test_the_plot_shows_the_curve_and_its_best(rows, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    from lsd_experiments.evaluation import plot_scores

    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k)))
    plot_scores({"mtlsd": rows}, tmp_path / "plot.svg")
    axes = drawn[0].axes[0]
    curve, star = axes.get_lines()
    assert curve.get_xydata().tolist() == [[row["voi_merge"], row["voi_split"]] for row in rows]
    assert star.get_xydata().tolist() == [[rows[1]["voi_merge"], rows[1]["voi_split"]]]
    assert axes.get_legend_handles_labels()[1] == ["mtlsd 0.000 at 0.4"]


def test_the_plot_shows_the_surroundings_of_the_best(tmp_path, monkeypatch):
    """Curves end at many bits of one and none of the other, which would leave no room for the best."""
    from matplotlib.figure import Figure

    from lsd_experiments.evaluation import plot_scores

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: drawn.append(self.axes[0]))
    rows = [{"threshold": t, "voi_split": split, "voi_merge": merge, "voi_sum": split + merge}
            for t, split, merge in ((0, 8, 0), (0.5, 0.3, 0.2), (0.9, 0, 1))]
    plot_scores({"mtlsd": rows}, tmp_path / "plot.png")
    assert drawn[0].get_ylim() == (0, pytest.approx(1.05 * 3 * 0.5))
    assert drawn[0].get_xlim() == (0, pytest.approx(1.05))  # all of it
    plot_scores({"perfect": [{"voi_split": 0, "voi_merge": 0, "voi_sum": 0}]}, tmp_path / "plot.png")
    assert drawn[1].get_xlim() == (0, 1.05)


@pytest.mark.parametrize("nothing", [[], {}, {"baseline": []}])
def test_nothing_to_report(nothing, tmp_path):
    with pytest.raises(UserError, match="no scores"):
        write_scores(nothing, tmp_path / "s")
    with pytest.raises(UserError, match="no scores"):
        table(nothing)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_refused_beforehand(rows, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "taken.csv").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for prefix, message in ((tmp_path / "file" / "new" / "scores", r"cannot be written \(.*file: not a directory\)"),
                            (tmp_path / "taken", r"taken\.csv: is a directory"), ("s3://bucket/scores", "of this machine"),
                            (".", "names"), ("/proc/scores", r"cannot be written \(/proc: ")):
        with pytest.raises(UserError, match=message):
            check_prefix(prefix)
    good = tmp_path / "new" / "directory" / "scores"
    check_prefix(good)
    assert sorted(tmp_path.rglob("*")) == before
    assert all(path.exists() for path in write_scores(rows, good))  # negative control
