"""The network and its input shapes, from the memory that is given: the largest of :func:`ladder` that fits.

Memory is estimated: in training 4 times what all layers give as float32 (what they give, its gradient, and room to compute), and
16 bytes a weight (it, its gradient, Adam's two means); in prediction 1.9 times, and 4 bytes. These are factors with which
FIB-25's published shapes are the largest in 12 GiB, a GPU's memory when they were made.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from lsd_experiments.errors import UserError
from lsd_experiments.families.lsd.planning import rules
from lsd_experiments.networks.layers import layers, parameters
from lsd_experiments.networks.network import Head, Network, Shape
from lsd_experiments.networks.shapes import as_shape

GIB = 2**30
PADDED = 1.5  # times what there is of raw, that a network's context may be: the rest is padding
LARGEST_OUTPUT = {"training": 92, "prediction": 248}  # voxels along the finest axis, the published datasets' largest
SMALLEST_OUTPUT = 12  # voxels along an axis, where there are so many


@dataclass(frozen=True)
class Sized:
    """A network with the input shapes of training and prediction, and the memory in GiB that they are thought to take."""

    network: Network
    training: Shape
    prediction: Shape
    training_gib: float
    prediction_gib: float


def ladder(voxel_size: Sequence[float]) -> Iterator[Network]:
    """Networks from the published one down to a small one; their only head is of affinities."""
    deep = rules.pooling(voxel_size, rules.deep_factors(voxel_size))
    yield _network(deep, 12, rules.growth(voxel_size), 14)
    yield _network(deep, 12, 3, 14)
    for maps, steps in ((12, (2, 2)), (8, (2, 2)), (12, (2,)), (8, (2,)), (4, (2,))):
        yield _network(rules.pooling(voxel_size, steps), maps, 3, maps + 2)


def _network(poolings: tuple[Shape, ...], maps: int, by: int, out: int) -> Network:
    return Network(num_fmaps=maps, fmap_inc_factor=by, num_fmaps_out=out, downsample_factors=poolings,
                   heads=(Head("lsds", channels=10), Head("affs", channels=3)))  # fmt: skip


def size(voxel_size: Sequence[float], width: float, extent: Sequence[int], raw: Sequence[int], memory: float) -> Sized:
    """The first network of the ladder whose training fits into ``memory`` GiB.

    Its context must be no larger than one and a half times ``raw``, all voxels that there are, and what it gives in training no
    smaller than an object's ``width`` (nm), where ``extent``, the voxels to train on, is as large.

    :raises UserError: if even the smallest one does not fit
    """
    networks = list(ladder(voxel_size))
    for network in networks:
        least = _least(network, voxel_size, width, extent)
        fits = all(lost <= PADDED * there for lost, there in zip(network.context, raw, strict=True)) or network == networks[-1]
        if fits and training_gib(network, least) <= memory:
            training = _grown(network, voxel_size, extent, "training", partial(_fits, training_gib, network, memory), least)
            prediction = _grown(network, voxel_size, raw, "prediction", partial(_fits, prediction_gib, network, memory), training)
            return Sized(network, training, prediction, training_gib(network, training), prediction_gib(network, prediction))
    needed = training_gib(networks[-1], least)
    raise UserError(f"--memory {memory:g}: the smallest network takes {needed:.2g} GiB. Give it more")


def _fits(gib: Callable[[Network, Shape], float], network: Network, memory: float, shape: Shape) -> bool:
    return gib(network, shape) <= memory


def _least(network: Network, voxel_size: Sequence[float], width: float, extent: Sequence[int]) -> Shape:
    """The input shape whose output is as long as an object is wide, or as there are voxels."""
    wanted = [min(max(SMALLEST_OUTPUT, width / voxel), there) for voxel, there in zip(voxel_size, extent, strict=True)]
    return network.input_shape_for([math.ceil(size) for size in wanted])


def _grown(network: Network, voxel_size: Sequence[float], extent: Sequence[int], what: str, fits: Callable[[Shape], bool],
           shape: Shape) -> Shape:
    """The largest input shape that ``fits``; its output is about a cube in the world, within ``extent`` and what was done."""
    finest = min(voxel_size)
    for voxels in range(SMALLEST_OUTPUT, LARGEST_OUTPUT[what] + 1):
        nm = voxels * finest
        wanted = [min(max(1, int(nm / voxel + 1e-6)), there) for voxel, there in zip(voxel_size, extent, strict=True)]
        candidate = as_shape(map(max, shape, _within(network, wanted)))
        if candidate != shape and fits(candidate):
            shape = candidate
    return shape


def _within(network: Network, output_shape: Sequence[int]) -> Shape:
    """The largest legal input shape whose output lies within ``output_shape``, or the smallest legal one."""
    return as_shape(
        first + max(0, (wanted + lost - first) // step) * step
        for first, step, lost, wanted in zip(network.smallest_input_shape, network.stride, network.context, output_shape,
                                             strict=True))  # fmt: skip


def training_gib(network: Network, shape: Shape) -> float:
    """What training a sample of the input ``shape`` is thought to take."""
    return (4 * 4 * _outputs(network, shape) + 16 * parameters(network)) / GIB


def prediction_gib(network: Network, shape: Shape) -> float:
    """What predicting a block of the input ``shape`` is thought to take."""
    return (1.9 * 4 * _outputs(network, shape) + 4 * parameters(network)) / GIB


def _outputs(network: Network, shape: Shape) -> int:
    """Values that all layers give together."""
    return sum(math.prod(layer.output_shape) * layer.channels_out for layer in layers(network, shape))
