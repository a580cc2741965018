"""What is told from names and shapes: every published network at full width, and files that TensorFlow wrote of small ones."""

from dataclasses import replace
from pathlib import Path

import pytest

from lsd_experiments.checkpoints import read_checkpoint
from lsd_experiments.checkpoints.inspection import inspect
from lsd_experiments.checkpoints.layout import find_layout
from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Input, Network

ZF, ISO = ((1, 3, 3), (1, 3, 3), (3, 3, 3)), ((2, 2, 2), (2, 2, 2), (3, 3, 3))
ZF_FMAPS, ISO_FMAPS = (12, 60, 300, 1500), (12, 72, 432, 2592)
AFFS, LR, EMBEDDING, LSDS = ("affs", 3), ("affs", 12), ("embedding", 10), ("lsds", 10)
PUBLISHED = {  # scope, input channels, heads, num_fmaps_out, weights and biases
    "zebrafinch/baseline": ("setup01", 1, (AFFS,), None, 95_853_495),
    "zebrafinch/mtlsd": ("setup02", 1, (AFFS, EMBEDDING), 14, 95_856_355),
    "zebrafinch/lsd": ("setup03", 1, (EMBEDDING,), None, 95_853_586),
    "zebrafinch/aclsd": ("setup04", 10, (AFFS,), None, 95_856_411),
    "zebrafinch/acrlsd": ("setup05", 11, (AFFS,), None, 95_856_735),
    "zebrafinch/long_range": ("setup23", 1, (LR,), None, 95_853_612),
    "zebrafinch/malis": ("setup07", 1, (AFFS,), None, 95_853_495),
    "fib25/baseline": ("setup01", 1, (AFFS,), None, 263_722_527),
    "fib25/mtlsd": ("setup12", 1, (AFFS, LSDS), 14, 263_725_387),
}
INPUTS = {1: (Input("raw"),), 10: (Input("lsds", 10),), 11: (Input("raw"), Input("lsds", 10))}


def scoped(scope, shapes):
    return {f"{scope}/{name}": shape for name, shape in shapes.items()}


@pytest.mark.parametrize("experiment", PUBLISHED)
def test_the_published_networks_at_full_width(experiment, weight_shapes):
    scope, channels, heads, out, count = PUBLISHED[experiment]
    iso = experiment.startswith("fib25")
    shapes = weight_shapes(channels, ISO_FMAPS if iso else ZF_FMAPS, ISO if iso else ZF, out, heads)
    layout = find_layout(Path("x.index"), scoped(scope, shapes))
    assert (layout.scope, layout.parameters, layout.channels_in) == (scope, count, channels)
    assert layout.fmaps == (ISO_FMAPS if iso else ZF_FMAPS)
    lsds = [Head("lsds", 10, "embedding")] * (EMBEDDING in heads) + [Head("lsds", 10)] * (LSDS in heads)
    expected = (*lsds, *(Head("affs", count) for name, count in heads if name == "affs"))
    network = Network(12, 6 if iso else 5, ISO if iso else ZF, expected, out, INPUTS[channels])
    assert layout.network == network
    with_a_map_more = weight_shapes(channels, (*layout.fmaps[:-1], layout.fmaps[-1] + 1), layout.downsample_factors, out, heads)
    with pytest.raises(UserError, match=r"unet_layer_3_left_0/kernel in setup\d\d is \(3, 3, 3, \d+, \d+\), where the other"):
        _ = find_layout(Path("x.index"), scoped(scope, with_a_map_more)).network


VARIANTS = {  # of 02_train: scope, what differs from baseline, variants that have the layout
    "baseline": ("setup01", {}, ("baseline", "malis")),
    "mtlsd": ("setup02", {"heads": (AFFS, EMBEDDING), "out": 3}, ("mtlsd", "mtlsd_malis")),
    "mtlsd of fib25": ("setup12", {"heads": (AFFS, LSDS), "out": 3, "factors": ISO}, ("mtlsd", "mtlsd_malis")),
    "lsd": ("setup03", {"heads": (EMBEDDING,)}, ("lsd",)),
    "aclsd": ("setup04", {"channels": 10}, ("aclsd",)),
    "acrlsd": ("setup05", {"channels": 11}, ("acrlsd",)),
    "long_range": ("setup23", {"heads": (LR,)}, ("long_range",)),
    "another hemi lsd": ("setup13", {"heads": (EMBEDDING,), "factors": ISO}, ("lsd",)),
    "no scope": ("a/b", {"fmaps": (1, 3), "factors": ((1, 2, 3),)}, ("baseline", "malis")),
    "odd heads": ("setup09", {"heads": (("affs2", 3), ("auto_affs", 3), ("logits", 2))}, ()),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_files_of_every_variant(make, variant, experiments):
    scope, options, names = VARIANTS[variant]
    path = make(scope, optimizers=("Adam",), steps=5, recorded=400000, **options)
    contents, checkpoint = inspect(path, experiments), read_checkpoint(path)
    assert (contents.format, contents.scope, contents.variants) == ("TensorFlow 1", scope, names)
    assert contents.iteration == checkpoint.iteration == 400000
    assert (contents.optimizer, contents.steps) == ("Adam", 5)
    assert contents.input_channels == options.get("channels", 1)
    assert contents.downsample_factors == checkpoint.network.downsample_factors == options.get("factors", ZF)
    assert contents.fmaps == options.get("fmaps", (2, 4, 8, 16))
    assert contents.num_fmaps_out == options.get("out", contents.fmaps[0])
    assert {head.published_name for head in contents.heads} == {name for name, _ in options.get("heads", (AFFS,))}
    assert checkpoint.record == {"scope": scope}
    assert checkpoint.published


def test_the_slots_of_malis_tell_it_from_the_baseline(make, experiments):
    assert inspect(make("setup07", optimizers=("Adam", "malis_optimizer")), experiments).variants == ("malis",)
    both = make("setup08", optimizers=("malis_optimizer",), heads=(AFFS, EMBEDDING), out=3)
    assert inspect(both, experiments).variants == ("mtlsd_malis",)


def test_variables_without_a_scope(weight_shapes):
    layout = find_layout(Path("x.index"), weight_shapes())
    assert layout.scope == ""
    assert layout.network.num_fmaps == 2


def test_of_two_networks_the_trained_one_is_taken(weight_shapes):
    shapes = scoped("setup03", weight_shapes(heads=(EMBEDDING,))) | scoped("setup04", weight_shapes(channels=10))
    with pytest.raises(UserError, match="holds several networks: setup03, setup04"):
        find_layout(Path("x.index"), shapes)
    slot = {"setup04/setup04/unet_layer_0_left_0/kernel/Adam": (1,)}
    assert find_layout(Path("x.index"), shapes | slot).scope == "setup04"


@pytest.mark.parametrize(
    ("leave_out", "message"),
    [
        (("unet_layer_0_left_0/kernel",), r"holds no U-Net of the experiments: no unet_layer_0_left_0/kernel, but setup01/"),
        (("unet_up_1_to_0/kernel",), "unet_up_1_to_0/kernel in setup01 is missing"),
        (("unet_layer_2_right_0/bias",), "unet_layer_2_right_0/bias in setup01 is missing"),
        (("affs_0",), "heads are"),
    ],
)
def test_a_file_that_lacks_something(make, leave_out, message):
    path = make(leave_out=leave_out)
    with pytest.raises(UserError, match=message):
        read_checkpoint(path)


def test_other_channels_are_inspected_and_not_loaded(make, caplog, experiments):
    path = make(channels=4)
    assert inspect(path).input_channels == 4
    assert inspect(path, experiments).variants == ()
    assert "takes 4 channels" in caplog.text
    with pytest.raises(UserError, match=r"takes 4 channels\. Known are 1"):
        read_checkpoint(path)


def test_the_iteration_comes_from_the_name_if_no_variable_has_it(make, tmp_path, caplog):
    assert read_checkpoint(make(iteration=163000)).iteration == 163000
    assert not caplog.records
    path = make(iteration=190000, recorded=180000)
    assert read_checkpoint(path).iteration == 190000  # by which it is found
    assert "gunpowder/iteration is 180000; 190000, of its name, is taken" in caplog.text
    for name in ("model.index", "model.data-00000-of-00001"):
        (tmp_path / f"train_net_checkpoint_190000{name.removeprefix('model')}").rename(tmp_path / name)
    assert read_checkpoint(tmp_path / "model.index").iteration == 180000
    unnamed = make(iteration=5)
    for ending in (".index", ".data-00000-of-00001"):
        unnamed.with_name(f"train_net_checkpoint_5{ending}").rename(tmp_path / f"nameless{ending}")
    assert inspect(tmp_path / "nameless").iteration is None
    with pytest.raises(UserError, match="does not say which iteration"):
        read_checkpoint(tmp_path / "nameless.index")


def test_it_fits_the_directory_of_its_network(make, tmp_path):
    path = make("setup02", heads=(AFFS, EMBEDDING), out=3)
    network = read_checkpoint(path).network
    declared = {  # the published name of the head does not matter, nor where the default is written out
        "zf/same": replace(network, heads=(Head("lsds", 10), Head("affs", 3))),
        "zf/wide": replace(network, num_fmaps=12, num_fmaps_out=14, fmap_inc_factor=5),
        "zf/other": replace(network, heads=(Head("affs", 3),)),
        "zf/isotropic": replace(network, downsample_factors=ISO),
    }
    for name, other in declared.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "mknet.py").write_text(f"from lsd_experiments.networks.network import *\nNETWORK = {other!r}\n")
    contents = inspect(path, tmp_path)
    assert contents.fits == ("zf/same",)
    assert contents.fits_other_widths == ("zf/wide",)
    assert inspect(path).fits == ()
