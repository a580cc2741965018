"""How sure a difference is: a paired bootstrap over blocks, and over seeds where there are several.

A resample draws as many blocks as there are, with replacement, the same ones for all; the score of a segmentation is that of its
contingency table with each block counted as often as it was drawn, so that an object that is in many blocks stays one; since
it has fewer parts in a resample, the scores of resamples are then moved as a whole, so that their mean is that of all blocks.
For each variant as many of its trainings are drawn as there are, and their mean counts. Thresholds stay. The share of the
resamples in which one variant is better than another one, ties counted by halves, says how sure it is for such volumes: not
for other tissue, nor for other trainings where there is one seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.evaluation import Contingency

RESAMPLES = 2000
FEWEST = 8  # blocks, below which nothing is said
SURE = 0.95  # share from which one "beats" another one
SLAB = 2**22  # numbers that are held at a time


@dataclass(frozen=True)
class Bootstrap:
    """What resampling says.

    :param blocks: how many there are
    :param sums: [resamples] VOI sums by variant
    """

    blocks: int
    sums: Mapping[str, NDArray[np.float64]]
    seeds: Mapping[str, int]

    @property
    def resamples(self) -> int:
        """How many there are."""
        return len(next(iter(self.sums.values())))

    def interval(self, name: str) -> tuple[float, float]:
        """The middle 95 % of the VOI sums of a variant."""
        low, high = np.percentile(self.sums[name], (2.5, 97.5))
        return max(0.0, float(low)), float(high)

    def share(self, better: str, worse: str) -> float:
        """In which share of the resamples ``better`` has the lower VOI sum; ties count by halves."""
        a, b = self.sums[better], self.sums[worse]
        return float(np.mean(a < b) + np.mean(a == b) / 2)

    def sentence(self, better: str, worse: str) -> str:
        """In words: which one beats the other, or that they cannot be distinguished."""
        share = self.share(better, worse)
        if share < 0.5:
            better, worse, share = worse, better, 1 - share
        single = [name for name in (better, worse) if self.seeds[name] < 2]
        seeds = f" (one training of {' and of '.join(single)}: other seeds may differ)" if single else ""
        if share >= SURE:
            return f"{better} beats {worse} in {percent(share)} of resamples{seeds}"
        return f"{better} and {worse} are not distinguishable: {better} is better in {percent(share)} of resamples{seeds}"


def percent(share: float) -> str:
    """A share in whole percents, rounded down: none below a limit looks as if it reached it, none that is not all is 100 %."""
    return f"{int(100 * share + 1e-9)} %"


def bootstrap(
    tables: Mapping[str, Sequence[Sequence[Contingency]]], resamples: int = RESAMPLES, seed: int = 0
) -> Bootstrap | None:
    """The bootstrap of variants: for each its trainings, and for each of these its blocks' tables; None with too few blocks."""
    blocks = {len(one) for trainings in tables.values() for one in trainings}
    assert len(blocks) == 1, f"blocks of several numbers: {blocks}"
    number = blocks.pop()
    if number < FEWEST:
        return None
    random = np.random.default_rng(seed)
    weights = random.multinomial(number, [1 / number] * number, size=resamples)
    sums = {}
    for name, trainings in tables.items():
        of_trainings = np.stack([_centred(one, weights) for one in trainings])
        drawn = random.integers(len(trainings), size=(len(trainings), resamples))
        sums[name] = np.take_along_axis(of_trainings, drawn, axis=0).mean(axis=0)
    return Bootstrap(number, sums, {name: len(trainings) for name, trainings in tables.items()})


def _centred(tables: Sequence[Contingency], weights: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """[n] the VOI sums of resamples, around that of all blocks.

    Without that they would be lower on average: what an object loses between blocks of which one is not drawn costs nothing.
    """
    sums = resampled_sums(tables, weights)
    whole = resampled_sums(tables, np.ones((1, len(tables)), int))[0]
    return np.asarray(sums - sums.mean() + whole)


def resampled_sums(tables: Sequence[Contingency], weights: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """[n] the VOI sum of each row of ``weights`` [n, blocks]: how often each block is counted."""
    from scipy.sparse import coo_matrix

    blocks = np.repeat(np.arange(len(tables)), [len(table.counts) for table in tables])
    segments, s_of = np.unique(np.concatenate([table.segments for table in tables]), return_inverse=True)
    labels, t_of = np.unique(np.concatenate([table.labels for table in tables]), return_inverse=True)
    counts = np.concatenate([table.counts for table in tables]).astype(np.float64)

    def by(ids: NDArray[np.integer[Any]], number: int) -> Any:
        return coo_matrix((counts, (blocks, ids)), shape=(len(tables), number)).tocsr()

    pairs, p_of = np.unique(s_of * np.int64(len(labels)) + t_of, return_inverse=True)
    matrices = by(p_of, len(pairs)), by(s_of, len(segments)), by(t_of, len(labels))
    step = max(1, SLAB // len(pairs))
    return np.concatenate([_sums(matrices, weights[at : at + step]) for at in range(0, len(weights), step)])


def _sums(matrices: tuple[Any, Any, Any], weights: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """H(s given t) + H(t given s) = 2 H(s, t) - H(s) - H(t)."""
    both, s, t = (_entropies(np.asarray(matrix.T @ weights.T).T) for matrix in matrices)
    total = np.asarray(matrices[2].T @ weights.T).sum(axis=0)
    sums: NDArray[np.float64] = np.maximum(0.0, (s + t - 2 * both) / total)
    return sums


def _entropies(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n] the sum of c log2 c over the columns of [n, m]."""
    logs = np.log2(counts, out=np.zeros_like(counts), where=counts > 0)
    return np.asarray((counts * logs).sum(axis=1), np.float64)
