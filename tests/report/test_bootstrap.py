"""Resampling against counting by hand, and what is said of the result."""

import numpy as np
import pytest

from lsd_experiments.evaluation import Contingency, contingency, scores
from lsd_experiments.report.bootstrap import bootstrap, percent, resampled_sums


def blocks_of(error, number=12, seed=0):
    """Tables of ``number`` blocks of 200 voxels, of which a share ``error`` is in segments of its own; one object is in all
    blocks.
    """
    random = np.random.default_rng(seed)
    tables = []
    for block in range(number):
        labels = np.repeat([1, 2 + block], 100).astype(np.uint64)
        segments = labels + 100 * (random.random(200) < error)
        tables.append(contingency(segments.astype(np.uint64), labels))
    return tables


def test_each_resample_is_scored_as_its_blocks_together():
    tables = blocks_of(0.3, 5)
    weights = np.array([[1, 1, 1, 1, 1], [3, 0, 0, 2, 0], [0, 0, 0, 0, 5]])
    expected = []
    for row in weights:
        drawn = [table for table, times in zip(tables, row, strict=True) for _ in range(times)]
        expected.append(scores(sum(drawn[1:], drawn[0]))["voi_sum"])
    np.testing.assert_allclose(resampled_sums(tables, weights), expected, rtol=1e-12)


def test_blocks_without_errors_give_zero():
    table = Contingency.of_pairs([5, 6], [1, 2], [10, 20])
    assert resampled_sums([table] * 3, np.ones((2, 3), int)).tolist() == [0, 0]


def test_a_clear_difference_and_none():
    tables = {
        "good": [blocks_of(0.05, seed=1), blocks_of(0.05, seed=2)],
        "bad": [blocks_of(0.4, seed=3), blocks_of(0.4, seed=4)],
        "as good": [blocks_of(0.05, seed=2), blocks_of(0.05, seed=1)],
    }
    found = bootstrap(tables, 300)
    assert found.sentence("bad", "good") == "good beats bad in 100 % of resamples"
    assert "not distinguishable" in found.sentence("good", "as good")
    assert found.share("good", "as good") == pytest.approx(0.5, abs=0.1)
    assert found.share("good", "bad") + found.share("bad", "good") == pytest.approx(1)
    low, high = found.interval("good")
    assert low < scores(sum(tables["good"][0][1:], tables["good"][0][0]))["voi_sum"] < high
    again = bootstrap(tables, 300)
    assert all(np.array_equal(found.sums[name], again.sums[name]) for name in tables)


def test_resamples_lie_around_what_was_measured():
    """Of one object that is in twelve blocks with a segment in each, a resample has some eight: fewer bits."""
    tables = [Contingency.of_pairs([block + 1], [1], [100]) for block in range(12)]
    assert resampled_sums(tables, np.random.default_rng(0).multinomial(12, [1 / 12] * 12, 200)).mean() < np.log2(12) - 0.4
    found = bootstrap({"a": [tables]}, 200)
    assert found.sums["a"].mean() == pytest.approx(np.log2(12))
    assert found.interval("a")[0] < np.log2(12) < found.interval("a")[1]


def test_resamples_are_paired():
    """The same blocks are drawn for both: a difference that is the same in each block is sure, though blocks differ much."""
    easy, hard = blocks_of(0.02, 6, seed=5), blocks_of(0.5, 6, seed=6)
    one = [*easy, *hard]
    other = [table + Contingency.of_pairs([900 + i], [1], [4]) for i, table in enumerate(one)]
    found = bootstrap({"one": [one], "other": [other]}, 500)
    assert found.share("one", "other") == 1
    assert found.interval("one")[1] > found.interval("other")[0]  # unpaired, nothing could be said


def test_seeds_count():
    """Of two trainings that differ much, their spread enters; one training says so."""
    apart = bootstrap({"a": [blocks_of(0.0), blocks_of(0.5)], "b": [blocks_of(0.2), blocks_of(0.2, seed=9)]}, 400)
    assert "not distinguishable" in apart.sentence("a", "b")
    single = bootstrap({"a": [blocks_of(0.0)], "b": [blocks_of(0.2), blocks_of(0.2, seed=9)]}, 400)
    assert single.sentence("a", "b") == "a beats b in 100 % of resamples (one training of a: other seeds may differ)"


def test_few_blocks_say_nothing():
    assert bootstrap({"a": [blocks_of(0.1, 7)]}, 10) is None
    assert bootstrap({"a": [blocks_of(0.1, 8)]}, 10) is not None


@pytest.mark.parametrize(("share", "said"), [(1.0, "100 %"), (0.9999, "99 %"), (0.9499, "94 %"), (0.95, "95 %"), (0.0, "0 %")])
def test_percents_are_rounded_down(share, said):
    assert percent(share) == said
