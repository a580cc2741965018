"""What a checkpoint holds, in words and numbers, and which directories of 02_train it fits."""

import logging
import runpy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.checkpoints.adam import MALIS, Slots, find_slots, steps_taken
from lsd_experiments.checkpoints.bundle import open_bundle
from lsd_experiments.checkpoints.checkpoint import AVERAGE, VALIDATION, is_published
from lsd_experiments.checkpoints.comparing import canonical, with_widths
from lsd_experiments.checkpoints.finding import find_named, resolve
from lsd_experiments.checkpoints.own import optimizer_steps, read_own
from lsd_experiments.checkpoints.tensorflow1 import find_iteration, layout_of
from lsd_experiments.errors import UserError
from lsd_experiments.intensity import NOTE
from lsd_experiments.networks.files import head_to_json
from lsd_experiments.networks.layers import parameters
from lsd_experiments.networks.network import Head, Network, Shape

logger = logging.getLogger(__name__)
PUBLISHED = "mala"  # the architecture of checkpoints of TensorFlow 1


@dataclass(frozen=True)
class Contents:
    """What a checkpoint holds.

    ``variants``: what directories of 02_train with such inputs and heads are called, of whichever dataset. ``steps``: of the
    optimizer; None without its state. ``fits``: directories of 02_train whose network it is; ``fits_other_widths``: with other
    feature maps.
    """

    path: str
    format: str
    scope: str | None
    variants: tuple[str, ...]
    input_channels: int
    heads: tuple[Head, ...]
    fmaps: tuple[int, ...]
    num_fmaps_out: int
    downsample_factors: tuple[Shape, ...]
    parameters: int
    iteration: int | None
    optimizer: str | None
    steps: int | None
    voxel_size: tuple[float, ...] | None = None
    validation: dict[str, Any] | None = None  # of this iteration, or the last one before it; of checkpoints that note it
    raw_ranges: dict[str, Any] | None = None  # by type of raw, the values that are 0 and 1; of checkpoints that note them
    average: dict[str, Any] | None = None  # of weights: its decay, and the steps after which weights went into it
    fits: tuple[str, ...] = ()
    fits_other_widths: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "heads": [head_to_json(head) for head in self.heads]}


def inspect(path: str | Path, experiments: str | Path | None = None, iteration: int | str | None = None) -> Contents:
    """What the checkpoint at ``path`` holds.

    :param path: see :func:`resolve`.
    :param experiments: the directory 02_train, to tell which of its networks it fits.
    :param iteration: of a directory: that of which checkpoint, or ``"best"`` (default: the newest)
    :raises UserError: if there is no checkpoint, it is damaged, or holds no U-Net of the experiments.
    """
    path = resolve(Path(path)) if iteration is None else find_named(path, iteration).path
    networks = experiment_networks(Path(experiments)) if experiments is not None else {}
    return _published(path, networks) if is_published(path) else _own(path, networks)


def experiment_networks(directory: Path) -> dict[str, Network]:
    """The networks of 02_train by dataset and variant, as their mknet.py declare them."""
    networks = {}
    for path in sorted(directory.glob("*/*/mknet.py")):
        network = runpy.run_path(str(path)).get("NETWORK")
        if isinstance(network, Network):
            networks["/".join(path.parent.parts[-2:])] = network
    return networks


def fitting(network: Network, networks: dict[str, Network], published: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of ``networks``, the names of those that are ``network``, and of those that are with other feature maps."""
    wanted = canonical(network, published)
    exact = tuple(name for name, other in networks.items() if canonical(other, published) == wanted)
    similar = (name for name, other in networks.items() if canonical(with_widths(other, network), published) == wanted)
    return exact, tuple(name for name in similar if name not in exact)


def _published(path: Path, networks: dict[str, Network]) -> Contents:
    bundle = open_bundle(path)
    layout = layout_of(bundle)
    slots = find_slots(bundle.shapes, layout.scope, layout.shapes)
    iteration = find_iteration(bundle)
    try:
        fits, similar = fitting(layout.network, networks, published=True)
    except UserError as error:  # what it holds can be told all the same
        logger.warning("%s", error)
        fits, similar = (), ()
    return Contents(
        path=str(path),
        format="TensorFlow 1",
        scope=layout.scope,
        variants=_variants(networks, PUBLISHED, layout.channels_in, layout.heads, slots),
        input_channels=layout.channels_in,
        heads=layout.heads,
        fmaps=layout.fmaps,
        num_fmaps_out=layout.num_fmaps_out,
        downsample_factors=layout.downsample_factors,
        parameters=layout.parameters,
        iteration=iteration,
        optimizer=slots.optimizer if slots else None,
        steps=steps_taken(bundle, slots, iteration or 0) if slots else None,
        fits=fits,
        fits_other_widths=similar,
    )


def _own(path: Path, networks: dict[str, Network]) -> Contents:
    checkpoint = read_own(path)
    network, voxel_size = checkpoint.network, checkpoint.record.get("voxel_size")
    channels = sum(source.channels for source in network.inputs)
    steps = optimizer_steps(path)
    fits, similar = fitting(network, networks, published=False)
    return Contents(
        path=str(path),
        format="Keras",
        scope=None,
        variants=_variants(networks, network.architecture, channels, network.heads, None),
        input_channels=channels,
        heads=network.heads,
        fmaps=tuple(network.fmaps(level) for level in range(network.levels)),
        num_fmaps_out=network.num_fmaps_out or network.num_fmaps,
        downsample_factors=network.downsample_factors,
        parameters=parameters(network),
        iteration=checkpoint.iteration,
        optimizer=None if steps is None else "Adam",
        steps=steps,
        voxel_size=tuple(voxel_size) if voxel_size else None,
        validation=checkpoint.record.get(VALIDATION),
        raw_ranges=checkpoint.record.get(NOTE, {}).get("ranges"),
        average=checkpoint.record.get(AVERAGE),
        fits=fits,
        fits_other_widths=similar,
    )


def _variants(
    networks: dict[str, Network], architecture: str, channels: int, heads: tuple[Head, ...], slots: Slots | None
) -> tuple[str, ...]:
    """The variants whose network takes and makes the same; the slots of the MALIS optimizer tell those that look alike apart."""

    def made(heads: tuple[Head, ...]) -> list[tuple[str, int]]:
        return sorted((head.name, head.channels) for head in heads)

    names = dict.fromkeys(
        name.split("/")[1] for name, other in networks.items() if other.architecture == architecture
        and sum(source.channels for source in other.inputs) == channels and made(other.heads) == made(heads))  # fmt: skip
    return tuple(name for name in names if "malis" in name or not (slots and slots.optimizer == MALIS))
