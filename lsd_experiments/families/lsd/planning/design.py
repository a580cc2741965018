"""The plan: every number of an experiment, and why it is what it is."""

import math
from dataclasses import dataclass, field

from lsd_experiments import intensity
from lsd_experiments.errors import UserError
from lsd_experiments.families.lsd.planning import rules, sizing
from lsd_experiments.families.lsd.planning.kept import SHARE, choose_part, training_part
from lsd_experiments.families.lsd.planning.survey import Survey, by, faint_range
from lsd_experiments.geometry import Box, to_nm
from lsd_experiments.networks.network import Network, Shape
from lsd_experiments.targets import Offsets

ROOM = 1.5  # outputs along the axis along which a part is kept, that training has at least
LARGE = 2**32  # voxels of raw, that are not predicted without being asked for


@dataclass(frozen=True)
class Plan:
    """``kept``: the part for validation, as offset and size in nm. ``memory``: GiB that were given.

    ``predicted``: the part that has labels, if raw is so large that all of it should be asked for. ``why``: for each number a
    line, (name, value, reason).
    """

    name: str
    voxel_size: tuple[float, ...]
    sigma: int
    sized: sizing.Sized
    offsets: Offsets
    control_points: Shape
    jitter: Shape
    exchanged: tuple[int, ...]
    boundary_axes: tuple[int, ...]
    is_sections: bool
    merge_function: str
    context: Shape
    block: Shape
    kept: tuple[tuple[float, ...], tuple[float, ...]]
    predicted: tuple[tuple[float, ...], tuple[float, ...]] | None
    raw_range: tuple[float, float] | None
    memory: float
    why: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def network(self) -> Network:
        """With heads for descriptors and affinities."""
        return self.sized.network


def make_plan(name: str, survey: Survey, memory: float) -> Plan:
    """The plan for what was found; ``memory`` in GiB.

    :raises UserError: if the labels are too few to keep a part of them, or the memory is too little
    """
    labels, voxel_size, width = survey.sample.labels, survey.voxel_size, survey.objects.width
    if not len(survey.objects.sizes):
        raise UserError(f"{labels.name}: no object in all that was looked at. Name a part of them that is labelled, by a crop")
    if len(survey.raw.empty) == survey.raw.sections_seen:
        raise UserError(f"{survey.sample.raw.name}: all sections that were looked at, where there are labels, are of one value: "
                        "it shows nothing there. Name other raw, or labels that lie where it shows something")
    if max(labels.shape) < SHARE:
        raise UserError(f"{labels.name}: {by(labels.shape)} voxels are too few to train on. Name larger labels")
    kept = choose_part(survey.sample, survey.objects.labelled)
    extent = [max(1, int(n / ROOM)) if n < whole else n
              for n, whole in zip(training_part(labels, kept).shape, labels.shape, strict=True)]
    sized = sizing.size(voxel_size, width, extent, survey.sample.raw.shape, memory)
    plan = Plan(
        name, voxel_size, rules.sigma(width, voxel_size), sized,
        rules.far_offsets(voxel_size, sized.network.downsample_factors),
        rules.control_points(voxel_size), rules.jitter(voxel_size), rules.exchanged(voxel_size), rules.boundary_axes(voxel_size),
        rules.are_sections(voxel_size), rules.merge_function(voxel_size), rules.context(width, voxel_size),
        rules.block(voxel_size, survey.sample.raw.shape), _in_world(survey, kept),
        _in_world(survey, labels.box) if math.prod(survey.sample.raw.shape) > LARGE else None, faint_range(survey), memory,
    )  # fmt: skip
    plan.why.extend(_reasons(plan, survey, memory))
    return plan


def _in_world(survey: Survey, kept: Box) -> tuple[tuple[float, ...], tuple[float, ...]]:
    labels = survey.sample.labels
    begin = tuple(o + n for o, n in zip(labels.offset, to_nm(kept.begin, labels.voxel_size), strict=True))
    return begin, to_nm(kept.shape, labels.voxel_size)


def _reasons(plan: Plan, survey: Survey, memory: float) -> list[tuple[str, str, str]]:
    ratio = max(plan.voxel_size) / min(plan.voxel_size)
    kind = f"voxels are {ratio:.3g} times as long along one axis as along another" if ratio > 1 else "voxels are cubes"
    sections, axes = plan.is_sections, ", ".join("zyx"[axis] for axis in plan.boundary_axes)
    return [
        ("raw range", *_range(plan, survey)),
        ("sigma", f"{plan.sigma} nm",
         f"two fifths of an object's width, {survey.objects.width:g} nm; at least two voxels along each axis"),
        *_of_the_network(plan, kind, memory),
        ("augmentation", f"control points every {by(plan.control_points)} voxels, moved by {by(plan.jitter)}",
         "320 nm; of sections every 4, and not moved along z" if sections else "320 nm"),
        ("boundaries", f"grown along {axes}",
         "along all axes" if len(plan.boundary_axes) == 3 else "not along coarse axes: a section would be lost"),
        ("far neighbours", ", ".join(map(str, sorted({-number for offset in plan.offsets for number in offset if number < -1}))),
         "the voxels that a voxel spans after each pooling, the next odd number"),
        ("fragments", "in 2-D" if sections else "in 3-D", kind + (", more than 1.5" if sections else "")),
        ("merge function", plan.merge_function, f"the paper's for {'serial sections' if sections else 'cubic voxels'}"),
        ("context", f"{by(plan.context)} voxels", "of fragments and edges: an object's width, at least 240 nm"),
        ("kept back", f"from {by(plan.kept[0])} nm, {by(plan.kept[1])} nm",
         "a fifth of the labels at one end, for validation and evaluation: training does not see its labels"),
    ]


def _of_the_network(plan: Plan, kind: str, memory: float) -> list[tuple[str, str, str]]:
    network, sized = plan.network, plan.sized
    rough = any(rules.coarse(plan.voxel_size))
    return [
        ("pooling", ", ".join(by(factors) for factors in network.downsample_factors),
         f"{kind}: long ones are not pooled until the others are as long" if rough else f"{kind}: along all axes alike"),
        ("feature maps", f"{network.num_fmaps}, times {network.fmap_inc_factor} per level",
         f"{network.parameters:,} parameters: the largest network that trains in {memory:g} GiB, with a context not much larger "
         "than raw"),
        ("training input", f"{by(sized.training)} -> {by(network.output_shape(sized.training))}",
         f"about a cube in the world, at least an object's width; {sized.training_gib:.2g} GiB are estimated"),
        ("prediction input", f"{by(sized.prediction)} -> {by(network.output_shape(sized.prediction))}",
         f"{sized.prediction_gib:.2g} GiB are estimated"),
    ]


def _range(plan: Plan, survey: Survey) -> tuple[str, str]:
    if plan.raw_range is not None:
        return intensity.show(plan.raw_range), "its 0.1 and 99.9 percentiles become 0 and 1: it is faint"
    if survey.sample.raw.dtype == "uint8":
        return "0 to 255", "become 0 and 1, as of all uint8"
    return "what raw holds", "its least and greatest value become 0 and 1, but for hot and dead voxels"
