"""Which score decides, and in which direction."""

import csv
import json
import math

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import best, check_metric, plot_scores, table, write_scores
from lsd_experiments.evaluation.deciding import OF_LABELS, deciding_metric


def row(threshold, score, **more):
    return {"threshold": threshold, "voi_split": 1 - threshold, "voi_merge": threshold, "splits": 10, "merges": 2,
            "xpress_erl_rand": score, **more}


ROWS = [row(0.1, 0.4, splits=3), row(0.5, 0.9, splits=7), row(0.9, 0.2, splits=9)]


def test_the_highest_or_the_lowest_is_the_best():
    assert best(ROWS) == 1  # XPRESS's ERL+Rand, highest
    assert best(ROWS, "splits") == 0  # lowest
    assert best(ROWS, "voi_split") == 2
    assert best([{**r, "voi_sum": r["threshold"]} for r in ROWS]) == 1  # skeletons before voxels
    assert best([{"voi_sum": 2}, {"voi_sum": 1}]) == 1
    assert best([{"voi_sum": 2}, {"voi_sum": 1}], "xpress_erl_rand") == 1  # of labels, which have none
    assert best([row(0.1, math.nan), row(0.2, None), row(0.3, 0.0)]) == 2


def test_a_score_that_cannot_decide_is_refused():
    with pytest.raises(UserError, match="no score 'xpres_erl_rand' to choose by; did you mean 'xpress_erl_rand'"):
        check_metric("xpres_erl_rand")
    with pytest.raises(UserError, match="no score 'erl'"):
        check_metric("erl", OF_LABELS)
    check_metric("erl")
    with pytest.raises(AssertionError):
        deciding_metric([{"erl": 1}])


def test_files_and_table_say_which(tmp_path):
    paths = write_scores({"mean": ROWS}, tmp_path / "scores", metric="splits")
    summary = json.loads(paths[0].read_text())
    assert summary["best"]["mean"]["threshold"] == 0.1
    assert summary["best_by"] == {"mean": "splits"}
    with paths[1].open() as stream:
        assert [int(line["splits"]) for line in csv.DictReader(stream)] == [3, 7, 9]
    marked, = (line for line in table(ROWS).splitlines() if "best" in line)
    assert marked.split()[:6] == ["0.500", "0.500", "0.500", "7", "2", "0.900"]
    marked, = (line for line in table(ROWS, metric="rand_split").splitlines() if "best" in line)
    assert marked.startswith("    0.500")  # no row has it
    more = [{**r, "nvi_split": r["threshold"]} for r in ROWS]
    marked, = (line for line in table(more, metric="nvi_split").splitlines() if "best" in line)
    assert marked.split()[0] == "0.100"


def test_a_second_panel_shows_the_score_over_thresholds(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: drawn.append(self))
    plot_scores({"mean": ROWS}, tmp_path / "plot.png")
    left, right = drawn[0].axes
    assert right.get_lines()[0].get_xydata().tolist() == [[0.1, 0.4], [0.5, 0.9], [0.9, 0.2]]
    assert right.get_lines()[1].get_xydata().tolist() == [[0.5, 0.9]]
    assert left.get_legend_handles_labels()[1] == ["mean 0.900 at 0.5"]
    assert left.get_legend().get_title().get_text() == "best (highest xpress_erl_rand)"
    plot_scores({"": [{k: v for k, v in r.items() if k != "threshold"} for r in ROWS]}, tmp_path / "plot.png")
    assert len(drawn[1].axes) == 1  # nothing to show it over
