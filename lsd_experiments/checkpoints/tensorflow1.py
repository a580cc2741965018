"""The published checkpoints: TensorFlow 1's variables as a network of ours, its weights, and its optimizer's state."""

import itertools
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from lsd_experiments.checkpoints.adam import find_slots, restore_adam, steps_taken
from lsd_experiments.checkpoints.bundle import Bundle, open_bundle
from lsd_experiments.checkpoints.checkpoint import INDEX, PREFIX, Checkpoint
from lsd_experiments.checkpoints.comparing import check_weights, layer_weights
from lsd_experiments.checkpoints.layout import Layout, find_layout
from lsd_experiments.errors import UserError
from lsd_experiments.targets import KNOWN

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)
# One head; which name it has depends on the dataset.
SAME = {f"{a}_0": f"{b}_0" for target in KNOWN for a, b in itertools.permutations(target.published_names, 2)}
ITERATION = "gunpowder/iteration"  # float32 of shape (1,), where gunpowder's training wrote the checkpoint


def read_published(path: Path) -> Checkpoint:
    """What a TensorFlow 1 checkpoint says of itself; its weights are not read.

    :raises UserError: if it is damaged, or not of one of the experiments' networks.
    """
    bundle = open_bundle(path)
    layout = layout_of(bundle)
    iteration = find_iteration(bundle)
    if iteration is None:
        raise UserError(f"{path}: does not say which iteration it is of. Rename its files to {PREFIX}<iteration>...")
    return Checkpoint(path, iteration, layout.network, {"scope": layout.scope})


def load_published(model: "keras.Model", path: Path) -> Checkpoint:
    """Load weights into ``model``, and Adam's state if the model is compiled with it and the file has it.

    :raises UserError: if a weight is not in the checkpoint, or of another shape; the model is as it was.
    """
    checkpoint, bundle = read_published(path), open_bundle(path)
    layout = layout_of(bundle)
    prefix = f"{layout.scope}/" if layout.scope else ""
    names = {ours: theirs for theirs in layout.shapes for ours in _our_names(theirs)}
    check_weights(model, {ours: layout.shapes[theirs] for ours, theirs in names.items()}, f"{path} (scope {layout.scope})")
    for layer in model.layers:
        for name, weight in layer_weights(layer).items():
            weight.assign(bundle.read(prefix + names[name]))
    if getattr(model, "optimizer", None) is not None:
        _load_optimizer(model, bundle, layout, names, checkpoint.iteration)
    return checkpoint


def _load_optimizer(model: "keras.Model", bundle: Bundle, layout: Layout, names: dict[str, str], iteration: int) -> None:
    slots = find_slots(bundle.shapes, layout.scope, layout.shapes)
    if slots is None:
        logger.warning("%s: has no state of the optimizer: Adam starts afresh", bundle.path)
        return

    def moments(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
        return bundle.read(slots.first[names[name]]), bundle.read(slots.second[names[name]])

    restore_adam(model, moments, steps_taken(bundle, slots, iteration))


def layout_of(bundle: Bundle) -> Layout:
    """See :func:`~lsd_experiments.checkpoints.layout.find_layout`."""
    return find_layout(bundle.path, bundle.shapes)


def find_iteration(bundle: Bundle) -> int | None:
    """The iteration that a checkpoint is of, or None if neither a variable nor its name says so.

    Where the two disagree, a ``train_net_checkpoint_<n>`` is of iteration n, by which it is found.
    """
    prefix = bundle.path.name.removesuffix(INDEX)
    numbers = re.findall(r"\d+$", prefix)
    named = int(numbers[0]) if numbers else None
    if ITERATION not in bundle.shapes:
        return named
    written = round(float(bundle.read(ITERATION).ravel()[0]))
    if named is not None and named != written and prefix.startswith(PREFIX):
        logger.warning("%s: its variable %s is %d; %d, of its name, is taken", bundle.path, ITERATION, written, named)
        return named
    return written


def _our_names(theirs: str) -> list[str]:
    """What a weight may be called in a model: a head by its published name, or by ours."""
    layer, what = theirs.split("/")
    return [theirs, f"{SAME[layer]}/{what}"] if layer in SAME else [theirs]
