"""Label padding: the numbers of the published scripts, in nm."""

from dataclasses import replace

import pytest

from lsd_experiments.families.lsd import isotropic
from lsd_experiments.geometry import to_nm
from lsd_experiments.targets import DIRECT, Affinities, LocalShapeDescriptors
from lsd_experiments.training import Experiment, FirstNetwork
from lsd_experiments.training.padding import label_padding

LSDS = {(20, 9, 9): LocalShapeDescriptors(sigma=120), (8, 8, 8): LocalShapeDescriptors(sigma=80)}
AFFS, FINCH, FLY = Affinities(), (20, 9, 9), (8, 8, 8)
FAR = {FINCH: Affinities((*DIRECT, (-15, 0, 0), (0, -27, 0), (0, 0, -27))),
       FLY: Affinities((*DIRECT, (-13, 0, 0), (0, -13, 0), (0, 0, -13)))}  # fmt: skip


def experiment(*targets, **options):
    return Experiment("../dataset.toml", "train_net.json", targets, isotropic, **options)


@pytest.mark.parametrize(
    ("voxel_size", "output_shape", "targets", "first", "padding"),
    [
        (FINCH, (48, 56, 56), (AFFS,), None, (500, 369, 369)),
        (FINCH, (48, 56, 56), (LSDS[FINCH],), None, (840, 720, 720)),
        (FINCH, (48, 56, 56), (LSDS[FINCH], AFFS), None, (840, 720, 720)),
        (FINCH, (48, 56, 56), (FAR[FINCH],), None, (780, 603, 603)),
        (FLY, (92, 92, 92), (AFFS,), None, (376, 536, 536)),
        (FLY, (92, 92, 92), (LSDS[FLY],), None, (608, 768, 768)),
        (FLY, (92, 92, 92), (LSDS[FLY], AFFS), None, (608, 768, 768)),
        (FLY, (92, 92, 92), (FAR[FLY],), None, (472, 632, 632)),
        (FINCH, (48, 56, 56), (AFFS,), FirstNetwork("../lsd", LSDS[FINCH]), (840, 720, 720)),
    ],
)
def test_published_label_padding(voxel_size, output_shape, targets, first, padding):
    voxels = label_padding(experiment(*targets, first_network=first), voxel_size, output_shape)
    assert to_nm(voxels, voxel_size) == padding


def test_a_padding_that_is_declared_stands():
    assert label_padding(experiment(AFFS, label_padding=(32, 32, 32)), FLY, (40, 40, 40)) == (32, 32, 32)


def test_the_context_is_what_the_targets_need():
    assert AFFS.context(FINCH) == (1, 1, 1)
    assert FAR[FINCH].context(FINCH) == (15, 27, 27)
    assert LSDS[FINCH].context(FINCH) == (18, 40, 40)
    assert replace(LSDS[FLY], sigma=80).context((50, 4.6, 4.6)) == (5, 53, 53)  # 4.8 and 52.2, up
