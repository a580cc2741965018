"""The scripts and configurations that a plan becomes; ``diff`` of two variants prints what differs in science, and no more."""

import math
from collections.abc import Mapping, Sequence

from lsd_experiments.families.lsd.planning.design import Plan
from lsd_experiments.families.lsd.planning.survey import by
from lsd_experiments.toml_text import as_toml, whole

VARIANTS = {
    "baseline": ("affinities from raw", "Affinities"),
    "mtlsd": ("affinities and LSDs from raw, trained jointly", "Affinities, LocalShapeDescriptors"),
    "long_range": ("affinities to direct and farther neighbours from raw", "Affinities"),
}

MKNET = '''\
"""{title}: {what}.

    python mknet.py      # prints the U-Net; writes train_net.json and config.json

Numbers: 02_train/plan.py, by the rules of docs/planning.md. Shapes are (z, y, x) in voxels; {name} voxels are {voxels} nm.
"""

from lsd_experiments.cli import described
from lsd_experiments.networks import Head, Network, write

NETWORK = Network(
    num_fmaps={fmaps}, fmap_inc_factor={growth}, num_fmaps_out={out},  # for {memory} GiB, and for as much raw as there is
    downsample_factors={factors},  # {why_factors}
    heads={heads},
)

if __name__ == "__main__":
    with described(__doc__):
        write(NETWORK, "train_net", input_shape={train})  # -> {train_out}
        write(NETWORK, "config", input_shape={config})  # -> {config_out}
'''

HEADS = {
    "baseline": 'Head("affs", channels=3),',
    "mtlsd": 'Head("lsds", channels=10),\n           Head("affs", channels=3)',
    "long_range": 'Head("affs", channels={channels}, neighborhood={offsets}),',
}

TRAIN = '''\
"""Train the {variant} network until iteration N, from the newest checkpoint that exists.

    python train.py 400000

Numbers: 02_train/plan.py, by the rules of docs/planning.md. Axes are (z, y, x).
"""

from functools import partial

from lsd_experiments.families.lsd import {nodes}
from lsd_experiments.targets import {imported}
from lsd_experiments.training import Adam, Experiment, main

EXPERIMENT = Experiment(
    dataset="../dataset.toml",
    network="train_net.json",  # mknet.py writes it
    targets=(
{targets}
    ),
    sampling={sampling},  # voxels: {why_sampling}
    boundary_axes={boundary},  # along which a voxel is taken off each object where it ends
    optimizer=Adam(learning_rate=0.5e-4),
)

if __name__ == "__main__":
    main(EXPERIMENT)
'''

TARGETS = {
    "baseline": "        Affinities(masked=True),",
    "mtlsd": """        LocalShapeDescriptors(sigma={sigma}, counted="labels_mask"),  # nm: two fifths of an object's width
        Affinities(masked=True),""",
    "long_range": "        Affinities(\n            neighborhood={offsets},\n            masked=True,\n        ),",
}

CONFIG = '''\
# Predict {name}, segment it, and evaluate the part that training did not see: python run.py {file}
# All keys: docs/segmentation.md. Sizes and offsets are (z, y, x) in nm; paths are relative to this file.
# Numbers: 02_train/plan.py, by the rules of docs/planning.md.

setup = {setup}
checkpoint = "best"  # of train.py --validate-every; without this line, the newest
raw_file = {volume}
raw_dataset = "volumes/raw"
out_file = {out}
{predicted}
[fragments]
fragments_in_xy = {in_xy}  # {why_in_xy}
block_size = {block}  # {block_voxels} voxels
context = {context}  # {context_voxels} voxels: an object's width

[agglomerate]
merge_function = {merge}  # the paper's for {kind}
context = {context}

[find_segments]
thresholds_minmax = [0, 1]
thresholds_step = 0.02

[evaluate]
labels_file = {volume}
labels_dataset = "volumes/labels/neuron_ids"
roi_offset = {kept_offset}  # the part that dataset.toml keeps for validation
roi_shape = {kept_shape}

[extract]
threshold = "best"
'''


def mknet(plan: Plan, variant: str) -> str:
    """The ``mknet.py`` of a variant."""
    network, sized = plan.network, plan.sized
    strides = [math.prod(factors) for factors in zip(*network.downsample_factors, strict=True)]
    lowest = [size * stride for size, stride in zip(plan.voxel_size, strides, strict=True)]
    heads = HEADS[variant].format(channels=len(plan.offsets), offsets=_offsets(plan, 12))
    return MKNET.format(
        title=variant.upper() if variant == "mtlsd" else variant.replace("_", "-").capitalize(), what=VARIANTS[variant][0],
        name=plan.name, memory=f"{plan.memory:g}", why_factors=f"to voxels of {by(lowest)} nm",
        voxels=f"({', '.join(f'{size:g}' for size in plan.voxel_size)})", fmaps=network.num_fmaps,
        growth=network.fmap_inc_factor, out=network.num_fmaps_out, factors=network.downsample_factors, heads=f"({heads})",
        train=sized.training, train_out=network.output_shape(sized.training), config=sized.prediction,
        config_out=network.output_shape(sized.prediction))  # fmt: skip


def train(plan: Plan, variant: str) -> str:
    """The ``train.py`` of a variant."""
    return TRAIN.format(
        variant=variant.upper() if variant == "mtlsd" else variant.replace("_", "-"), nodes=nodes(plan),
        imported=VARIANTS[variant][1], targets=TARGETS[variant].format(sigma=plan.sigma, offsets=_offsets(plan, 16)),
        sampling=_sampling(plan), boundary=plan.boundary_axes,
        why_sampling="320 nm; 4 sections" if plan.is_sections else "320 nm")  # fmt: skip


def nodes(plan: Plan) -> str:
    """Which sampling: that of sections exchanges y and x, and so is for voxels that are alike along these."""
    return "serial_sections" if plan.is_sections and plan.exchanged == (1, 2) else "isotropic"


def sampling_options(plan: Plan) -> dict[str, tuple[int, ...]]:
    """What it is given."""
    options: dict[str, tuple[int, ...]] = {"control_point_spacing": plan.control_points, "jitter_sigma": plan.jitter}
    return options if nodes(plan) == "serial_sections" else options | {"transpose_only": plan.exchanged}


def _sampling(plan: Plan) -> str:
    return f"partial({nodes(plan)}, {', '.join(f'{key}={value}' for key, value in sampling_options(plan).items())})"


def _offsets(plan: Plan, indent: int) -> str:
    """The neighbourhood, three offsets a line."""
    rows = [plan.offsets[first : first + 3] for first in range(0, len(plan.offsets), 3)]
    inner = "".join(f"{' ' * indent}{', '.join(map(str, row))},\n" for row in rows)
    return f"(\n{inner}{' ' * (indent - 4)})"


def configuration(plan: Plan, file: str, setup: str, volume: str, out: str) -> str:
    """The configuration of 03_predict/run.py."""
    def in_nm(voxels: Sequence[int]) -> list[float]:
        return [whole(n * size) for n, size in zip(voxels, plan.voxel_size, strict=True)]

    def part(offset: Sequence[float], shape: Sequence[float]) -> str:
        return f"roi_offset = {as_toml([whole(n) for n in offset])}\nroi_shape = {as_toml([whole(n) for n in shape])}\n"

    values: Mapping[str, str] = {
        "predicted": f"\n[predict]  # the part that has labels, since raw is large: leave it out to predict all of raw\n"
                     f"{part(*plan.predicted)}" if plan.predicted else "",
        "setup": as_toml(setup), "volume": as_toml(volume), "out": as_toml(out), "in_xy": as_toml(plan.is_sections),
        "block": as_toml(in_nm(plan.block)), "context": as_toml(in_nm(plan.context)), "merge": as_toml(plan.merge_function),
        "kept_offset": as_toml([whole(value) for value in plan.kept[0]]),
        "kept_shape": as_toml([whole(value) for value in plan.kept[1]]),
    }  # fmt: skip
    z, *others = plan.voxel_size
    why = f"sections are {z:g} nm apart, voxels {min(others):g} nm wide" if plan.is_sections else "voxels are nearly cubes"
    return CONFIG.format(name=plan.name, file=file, why_in_xy=why, block_voxels=by(plan.block), context_voxels=by(plan.context),
                         kind="serial sections" if plan.is_sections else "cubic voxels", **values)
