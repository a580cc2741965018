"""What the self-test looks for in what its commands wrote.

Each function says in a few words what it found, and raises :class:`Missing` for what it did not find, or UserError. Whether
the results are any good is not asked: the network has seen two batches.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPE = (32, 80, 120)  # voxels of the volume, and of all that is made of it
ITERATIONS = 2


class Missing(Exception):
    """A command that ended well did not write what it should; the message says what is wrong."""


def volume(container: Path) -> str:
    """A synthetic volume has raw and labels."""
    for dataset in ("volumes/raw", "volumes/labels/neuron_ids", "volumes/labels/labels_mask"):
        read(container, dataset)
    return _times(SHAPE)


def network(setup: Path) -> str:
    """mknet.py has described the network."""
    from lsd_experiments import networks

    files = [networks.read(setup / name) for name in ("train_net.json", "config.json")]
    return " and ".join(_times(file.input_shape) for file in files)


def training(setup: Path, said: str) -> str:
    """train.py has written a checkpoint, and the last loss that it ``said`` is finite."""
    from lsd_experiments.checkpoints import find_checkpoint

    losses = re.findall(r"\bloss=([^,\]\s]+)", said)
    if not losses or not math.isfinite(float(losses[-1])):
        raise Missing(f"the last loss is {losses[-1] if losses else 'not told'}")
    found = find_checkpoint(setup)
    if found is None or found.iteration != ITERATIONS:
        raise Missing(f"there is no checkpoint of iteration {ITERATIONS}")
    return f"{found.path.name}, loss {losses[-1]}"


def pipeline(container: Path, scores: Path) -> str:
    """run.py has written all volumes, and scores."""
    read(container, "volumes/affs", channels=3)
    read(container, "volumes/lsds", channels=10)
    ids = {name: np.unique(read(container, f"volumes/{name}")) for name in ("fragments", "segmentation")}
    counts = ", ".join(f"{np.count_nonzero(found)} {name}" for name, found in ids.items())
    return f"{counts.replace('segmentation', 'segments')}, VOI {best_voi(scores):.2f}"


def read(container: Path, dataset: str, channels: int | None = None) -> NDArray[Any]:
    """[z, y, x], or [c, z, y, x], which must be of :data:`SHAPE`, and no channel of it all 0."""
    from lsd_experiments.arrays import open_volume

    found = open_volume(container, dataset)
    expected = (SHAPE, channels)
    if (found.shape, found.channels) != expected:
        raise Missing(f"{dataset} is {_times(found.shape, found.channels)}, not {_times(*expected)}")
    values = found.read()
    if not values.reshape(channels or 1, -1).any(axis=1).all():
        raise Missing(f"{dataset} is all 0" + (" in a channel" if channels else ""))
    return values


def best_voi(scores: Path) -> float:
    """The sum of split and merge at the best threshold; all scores of all thresholds must be finite."""
    try:
        written = json.loads(scores.read_text())
        rows = [row for curve in written["curves"].values() for row in curve]
        best = [float(row["voi_sum"]) for row in written["best"].values()]
        finite = all(math.isfinite(row[key]) for row in rows for key in ("voi_split", "voi_merge", "adapted_rand_error"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Missing(f"{scores.name} is not as run.py writes it: {type(error).__name__}: {error}") from error
    if not rows or not finite:
        raise Missing(f"{scores.name} has scores that are not finite" if rows else f"{scores.name} has no scores")
    return best[0]


def _times(shape: tuple[int, ...], channels: int | None = None) -> str:
    return " x ".join(map(str, (*([channels] if channels else []), *shape)))
