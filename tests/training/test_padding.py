"""Label padding: the numbers of the published scripts, in nm."""

from dataclasses import replace

import pytest

from lsd_experiments.datasets import FIB25, ZEBRAFINCH
from lsd_experiments.geometry import to_nm
from lsd_experiments.networks import Head, Input, Network
from lsd_experiments.training.padding import label_padding, target_context

BASELINE = (Head("affs", 3),)
LSD = (Head("lsds", 10),)
MTLSD = (Head("lsds", 10), Head("affs", 3))
LONG_RANGE = (Head("affs", 12),)
ZEBRAFINCH_NET = Network(12, 5, ((1, 3, 3), (1, 3, 3), (3, 3, 3)), BASELINE)
AUTO_CONTEXT = replace(ZEBRAFINCH_NET, inputs=(Input("lsds", 10),))
FIB25_NET = Network(12, 6, ((2, 2, 2), (2, 2, 2), (3, 3, 3)), BASELINE)


@pytest.mark.parametrize(
    ("dataset", "network", "input_shape", "heads", "padding"),
    [
        (ZEBRAFINCH, ZEBRAFINCH_NET, (84, 268, 268), BASELINE, (500, 369, 369)),
        (ZEBRAFINCH, ZEBRAFINCH_NET, (84, 268, 268), LSD, (840, 720, 720)),
        (ZEBRAFINCH, ZEBRAFINCH_NET, (84, 268, 268), MTLSD, (840, 720, 720)),
        (ZEBRAFINCH, ZEBRAFINCH_NET, (84, 268, 268), LONG_RANGE, (780, 603, 603)),
        (FIB25, FIB25_NET, (196, 196, 196), BASELINE, (376, 536, 536)),
        (FIB25, FIB25_NET, (196, 196, 196), LSD, (608, 768, 768)),
        (FIB25, FIB25_NET, (196, 196, 196), MTLSD, (608, 768, 768)),
        (FIB25, FIB25_NET, (196, 196, 196), LONG_RANGE, (472, 632, 632)),
        (ZEBRAFINCH, AUTO_CONTEXT, (84, 268, 268), BASELINE, (840, 720, 720)),
    ],
)
def test_published_label_padding(dataset, network, input_shape, heads, padding):
    network = replace(network, heads=heads)
    voxels = label_padding(dataset, network, network.output_shape(input_shape))
    assert to_nm(voxels, dataset.voxel_size) == padding


def test_target_context_is_what_the_targets_need():
    assert target_context(ZEBRAFINCH, ZEBRAFINCH_NET) == (1, 1, 1)
    assert target_context(ZEBRAFINCH, replace(ZEBRAFINCH_NET, heads=MTLSD)) == (18, 40, 40)
    fractional = replace(ZEBRAFINCH, voxel_size=(50, 4.6, 4.6), sigma=80)
    assert target_context(fractional, replace(ZEBRAFINCH_NET, heads=LSD)) == (5, 53, 53)  # 4.8 and 52.2, up
