"""The arithmetic of the published U-Nets: numbers of the published scripts, and a brute-force walk through the layers."""

import dataclasses
import subprocess
import sys

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Input, Network
from lsd_experiments.networks.layers import gflop, layers, parameters

AFFS, LSDS = Head("affs", 3), Head("lsds", 10)
ZEBRAFINCH = Network(12, 5, ((1, 3, 3), (1, 3, 3), (3, 3, 3)), (AFFS,))
FIB25 = Network(12, 6, ((2, 2, 2), (2, 2, 2), (3, 3, 3)), (AFFS,))
XPRESS = Network(24, 3, ((2, 2, 2), (2, 2, 2), (2, 2, 2)), (Head("affs", 12, predicted=3),), architecture="funlib")
LSD_INPUT, RAW_INPUT = Input("lsds", 10), Input("raw", 1)

VARIANTS = {  # name: network, parameters (weights and biases)
    "zebrafinch baseline": (ZEBRAFINCH, 95_853_495),
    "zebrafinch mtlsd": (dataclasses.replace(ZEBRAFINCH, heads=(LSDS, AFFS), num_fmaps_out=14), 95_856_355),
    "zebrafinch lsd": (dataclasses.replace(ZEBRAFINCH, heads=(LSDS,)), 95_853_586),
    "zebrafinch long_range": (dataclasses.replace(ZEBRAFINCH, heads=(Head("affs", 12),)), 95_853_612),
    "zebrafinch aclsd": (dataclasses.replace(ZEBRAFINCH, inputs=(LSD_INPUT,)), 95_856_411),
    "zebrafinch acrlsd": (dataclasses.replace(ZEBRAFINCH, inputs=(RAW_INPUT, LSD_INPUT)), 95_856_735),
    "fib25 baseline": (FIB25, 263_722_527),
    "xpress baseline": (XPRESS, 27_852_876),
    "fib25 mtlsd": (dataclasses.replace(FIB25, heads=(LSDS, AFFS), num_fmaps_out=14), 263_725_387),
}


@pytest.mark.parametrize(
    ("network", "input_shape", "output_shape"),
    [
        (ZEBRAFINCH, (84, 268, 268), (48, 56, 56)),  # training
        (ZEBRAFINCH, (96, 484, 484), (60, 272, 272)),  # config: prediction
        (ZEBRAFINCH, (120, 484, 484), (84, 272, 272)),  # the first network of auto-context training
        (ZEBRAFINCH, (114, 646, 646), (78, 434, 434)),  # auto-context prediction of the older setups
        (ZEBRAFINCH, (39, 214, 214), (3, 2, 2)),  # the smallest
        (FIB25, (196, 196, 196), (92, 92, 92)),
        (FIB25, (268, 268, 268), (164, 164, 164)),
        (FIB25, (352, 352, 352), (248, 248, 248)),
        (FIB25, (304, 304, 304), (200, 200, 200)),
        (FIB25, (364, 364, 364), (260, 260, 260)),
        (FIB25, (112, 112, 112), (8, 8, 8)),
        (XPRESS, (132, 132, 132), (40, 40, 40)),
        (XPRESS, (140, 140, 140), (48, 48, 48)),
        (XPRESS, (148, 148, 148), (56, 56, 56)),
        (XPRESS, (284, 284, 284), (192, 192, 192)),
        (XPRESS, (100, 100, 100), (8, 8, 8)),
    ],
)
def test_published_shapes(network, input_shape, output_shape):
    assert network.output_shape(input_shape) == output_shape
    assert network.input_shape_for(output_shape) == input_shape
    assert walk(network, input_shape) == output_shape
    taken = tuple(i - o for i, o in zip(input_shape, output_shape, strict=True))
    assert taken == network.context


def walk(network, shape):
    """The output shape, by walking down and up layer by layer."""
    shape = list(shape)
    for factor in network.downsample_factors:
        shape = [(size - 4) // f for size, f in zip(shape, factor, strict=True)]
    shape = [size - 4 for size in shape]
    stride = [1, 1, 1]
    for factor in reversed(network.downsample_factors):
        shape = [size * f - 4 for size, f in zip(shape, factor, strict=True)]
        stride = [s * f for s, f in zip(stride, factor, strict=True)]
        if network.architecture == "funlib":  # an output that is a multiple of the stride
            shape = [size // s * s for size, s in zip(shape, stride, strict=True)]
    return tuple(shape)


def test_context_smallest_shape_and_stride():
    assert ZEBRAFINCH.context == (36, 212, 212)
    assert FIB25.context == (104, 104, 104)
    assert ZEBRAFINCH.stride == (3, 27, 27)
    assert FIB25.stride == (12, 12, 12)
    assert ZEBRAFINCH.smallest_input_shape == (39, 214, 214)
    assert FIB25.smallest_input_shape == (112, 112, 112)
    assert (XPRESS.context, XPRESS.stride) == ((92, 92, 92), (8, 8, 8))
    assert XPRESS.smallest_input_shape == (100, 100, 100)


@pytest.mark.parametrize(
    ("network", "axis", "first", "step"),
    [(ZEBRAFINCH, 0, 12, 3), (ZEBRAFINCH, 1, 52, 27), (FIB25, 2, 28, 12), (XPRESS, 2, 28, 8)],
)
def test_legal_sizes_are_those_that_leave_no_remainder(network, axis, first, step):
    smallest = network.smallest_input_shape
    for size in range(1, 400):
        shape = [*smallest[:axis], size, *smallest[axis + 1 :]]
        legal = size >= smallest[axis] and (size - first) % step == 0
        assert is_legal(network, shape) == legal, size


def is_legal(network, shape):
    try:
        network.check_input_shape(shape)
    except UserError:
        return False
    return True


@pytest.mark.parametrize("size", [164, 168])
def test_sizes_of_published_setups_that_drop_a_remainder_are_refused(size):
    with pytest.raises(UserError, match=rf"z = {size} \(nearest: 160 or 172\)"):
        FIB25.output_shape((size, 196, 196))


def test_the_error_names_the_axis_the_legal_sizes_around_it_and_the_nearest_shape():
    with pytest.raises(UserError) as error:
        ZEBRAFINCH.output_shape((84, 270, 100))
    assert "y = 270 (nearest: 268 or 295)" in str(error.value)
    assert "x = 100 (nearest: 214)" in str(error.value)
    assert "z =" not in str(error.value)
    assert "nearest legal shape is (84, 268, 214)" in str(error.value)
    with pytest.raises(UserError, match="has 2 axes"):
        ZEBRAFINCH.output_shape((84, 268))


@pytest.mark.parametrize("wanted", [(1, 1, 1), (48, 56, 56), (49, 57, 82), (61, 272, 300)])
def test_input_shape_for_is_the_smallest_legal_one_that_covers(wanted):
    found = ZEBRAFINCH.input_shape_for(wanted)
    covered = ZEBRAFINCH.output_shape(found)
    assert all(c >= w for c, w in zip(covered, wanted, strict=True))
    for axis in range(3):
        smaller = [size - (ZEBRAFINCH.stride[axis] if a == axis else 0) for a, size in enumerate(found)]
        if is_legal(ZEBRAFINCH, smaller):
            assert ZEBRAFINCH.output_shape(smaller)[axis] < wanted[axis]


@pytest.mark.parametrize(("network", "expected"), VARIANTS.values(), ids=VARIANTS)
def test_published_parameter_counts(network, expected):
    assert parameters(network) == expected


@pytest.mark.parametrize(
    ("name", "input_shape", "gmac"),
    [
        ("zebrafinch baseline", (84, 268, 268), 291.6),
        ("zebrafinch baseline", (96, 484, 484), 2026.9),
        ("zebrafinch mtlsd", (96, 484, 484), 2039.8),
        ("zebrafinch baseline", (120, 484, 484), 2667),
        ("zebrafinch aclsd", (114, 646, 646), 5482),
        ("fib25 baseline", (196, 196, 196), 1241.9),
    ],
)
def test_published_cost(name, input_shape, gmac):
    assert gflop(VARIANTS[name][0], input_shape) / 2 == pytest.approx(gmac, rel=2e-3)


def test_layers_carry_the_names_of_the_published_checkpoints():
    names = [layer.name for layer in layers(VARIANTS["zebrafinch mtlsd"][0], (84, 268, 268))]
    assert len(names) == 19  # 38 variables
    assert names[:3] == ["unet_layer_0_left_0", "unet_layer_0_left_1", "unet_layer_1_left_0"]
    assert names[8:11] == ["unet_up_3_to_2", "unet_layer_2_right_0", "unet_layer_2_right_1"]
    assert names[-2:] == ["lsds_0", "affs_0"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_fmaps": 0}, "num_fmaps is 0"),
        ({"num_fmaps": "12"}, "num_fmaps is '12'"),
        ({"num_fmaps_out": 0}, "num_fmaps_out is 0"),
        ({"downsample_factors": ((2, 2),)}, r"downsample factor \(2, 2\)"),
        ({"downsample_factors": ((2, 2, 0),)}, r"downsample factor \(2, 2, 0\)"),
        ({"heads": ()}, "heads are"),
        ({"heads": (AFFS, AFFS)}, "heads are"),
    ],
)
def test_what_is_no_network_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(ZEBRAFINCH, **changes)


def test_shapes_need_no_framework():
    code = (
        "import sys; from lsd_experiments.networks import Head, Network; "
        "Network(12, 5, ((1, 3, 3),), (Head('affs', 3),)).context; "
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'gunpowder', 'h5py')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
