"""From predictions to masks and instances, block by block: the same as of the whole."""

import shutil

import numpy as np
import pytest
from scipy import ndimage

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.places import find_places, open_class
from lsd_experiments.families.cellmap.processing import process_class, read_processing, running
from lsd_experiments.families.cellmap.processing.functions import above, affinities_of, as_bytes, meeting
from tests.cellmap.small import BEGIN, VOXEL, put, target
from tests.cellmap.test_command import csc

SHAPE = (20, 24, 18)
SMALL = {"block_shape": 8}  # blocks that nothing fits into


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Workers are tried by one test; they take a second to start."""
    monkeypatch.setattr(running, "FEW", 10**6)


def noise(seed=0):
    """Logits of many small and some large objects."""
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1).astype(np.float32) - 0.1


@pytest.fixture
def run(tmp_path):
    """A function that processes the values of a class, and gives the volume that comes out."""
    def process(prediction, text="", label="mito", overwrite=False, **settings):
        shutil.rmtree(tmp_path / "predictions.zarr", ignore_errors=True)
        put(tmp_path / "predictions.zarr", **{label: (prediction, target(label, prediction.shape[-3:]))})
        config = tmp_path / "process.py"
        config.write_text(f"processing = {{'*': {settings or SMALL}}}\n{text}")
        return again(config, label, overwrite)

    def again(config, label="mito", overwrite=False):
        process.said = process_class(str(tmp_path / f"predictions.zarr/crop7/{label}"), str(tmp_path / f"out.zarr/crop7/{label}"),
                                     label, read_processing(config), overwrite)
        return open_class(tmp_path / f"out.zarr/crop7/{label}")

    process.again = again
    return process


def same_objects(ours, whole):
    """Whether two segmentations differ in their numbers only."""
    pairs = np.unique(np.stack([ours.ravel().astype(np.int64), whole.ravel().astype(np.int64)]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs) and np.array_equal(ours > 0, whole > 0)


def test_thresholds_mean_probabilities():
    values = np.array([[[-1, 0, 0.2, 1, np.nan]]], np.float32)
    assert above(values, 0.5, is_logits=True).tolist() == [[[0, 0, 1, 1, 0]]]
    assert above(values, 0.5, is_logits=False).tolist() == [[[0, 0, 0, 1, 0]]]
    assert above(values, 0.7, is_logits=True).tolist() == [[[0, 0, 0, 1, 0]]]  # 0.2 is a probability of 0.55
    assert above(values, 1, is_logits=True).sum() == 0
    assert above(np.array([[[127, 128]]], np.uint8), 0.5, is_logits=True).tolist() == [[[0, 1]]]
    assert as_bytes(values, is_logits=True)[0, 0, :4].tolist() == [69, 128, 140, 186]


def test_affinities_of_probabilities():
    found = affinities_of(np.array([[[9, 5, 7]], [[8, 2, 9]]], np.uint8))
    assert found[0].tolist() == [[[9, 5, 7]], [[8, 2, 7]]]
    assert found[2].tolist() == [[[9, 5, 5]], [[8, 2, 2]]]


def test_parts_that_meet_over_more_than_half_of_one_face():
    planes = np.zeros((2, 5, 7), np.uint64)
    planes[0, 1:, 1:4], planes[0, 1:, 4:] = 1, 2
    planes[1, 1:, 1:5] = 3  # meets 1 with all of it, 2 with a third
    assert meeting(planes).tolist() == [[1, 3]]
    planes[1, 1:, 2:] = 3
    assert meeting(planes).tolist() == [[1, 3], [2, 3]]


@pytest.mark.parametrize(("connectivity", "structure"), [(6, 1), (26, 3)])
def test_components_are_those_of_the_whole(run, connectivity, structure):
    logits = noise()
    found = run(logits, connectivity=connectivity, minimum_size=5, **SMALL)
    whole, count = ndimage.label(logits > 0, ndimage.generate_binary_structure(3, structure))
    sizes = np.bincount(whole.ravel())
    small = np.flatnonzero(sizes < 5)
    assert len(small) > 0
    whole[np.isin(whole, small)] = 0
    assert same_objects(found.read(), whole)
    assert found.read().max() == count - len(small)  # numbered without gaps
    assert run.said.endswith(f", {count - len(small)} objects")
    assert (found.voxel_size, found.offset) == (VOXEL, BEGIN)
    assert same_objects(run(logits, connectivity=connectivity, minimum_size=5, block_shape=64).read(), whole)


def test_a_mask_without_small_objects(run):
    logits = noise(1)
    mask = run(logits, label="er").read()
    assert np.array_equal(mask, logits > 0)
    large = run(logits, label="er", minimum_size=30, **SMALL).read()  # made anew, of another stage before it
    whole, _ = ndimage.label(logits > 0)
    assert np.array_equal(large, (whole > 0) & (np.bincount(whole.ravel())[whole] >= 30))
    assert 0 < large.sum() < mask.sum()


def touching():
    """Two boxes that touch at x = 9, where the logits are weak."""
    logits = np.full(SHAPE, -4, np.float32)
    logits[4:16, 4:20, 1:17] = 4
    logits[4:16, 4:20, 9] = 0.2
    return logits


def test_a_watershed_cuts_objects_where_they_are_weak(run):
    assert run(touching()).read().max() == 1  # components do not
    settings = {"method": "watershed", "merge_threshold": 0.4, "min_seed_distance": 5, "minimum_size": 100}
    found = run(touching(), **settings, block_shape=10, halo=6).read()
    left, right = found[10, 12, 4], found[10, 12, 13]
    assert 0 < left != right > 0
    assert (found[5:15, 5:19, 2:8] == left).all()
    assert (found[5:15, 5:19, 11:16] == right).all()
    assert found.max() == 2
    assert run(touching(), **settings | {"merge_threshold": 0.6}, block_shape=10, halo=6).read().max() == 1


def test_affinities_are_agglomerated(run):
    affinities = np.full((3, *SHAPE), 0.95, np.float16)
    affinities[:, :, :, 8:10] = 0.02
    settings = {"method": "affinities", "values": "probabilities", "min_seed_distance": 5, "block_shape": 12, "halo": 6}
    found = run(affinities, **settings).read()
    assert found.max() == 2
    assert len(np.unique(found[2:-2, 2:-2, 2:7])) == len(np.unique(found[2:-2, 2:-2, 11:-2])) == 1


FUNCTIONS = {
    "ids": "from scipy import ndimage\ndef process_func(x):\n    return ndimage.label(x[0, 0].numpy() > 0)[0]\n",
    "mask": "def process_func(x):\n    return x > 0\n",
    "mask of floats": "def process_func(x):\n    return (x > 0).float()\n",
    "ids of floats": "from scipy import ndimage\ndef process_func(x):\n    return ndimage.label(x[0, 0].numpy() > 0)[0] * 1.0\n",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_ones_own_gives_ids_that_are_unique_over_blocks(run, name):
    logits = np.full((12, 44, 44), -1, np.float32)
    logits[1:11:3, 1::2, 1::2] = 1  # 4 x 22 x 22 single voxels
    logits[5:8, 3:41, 20] = 1  # one object through many blocks, and the voxels that it touches
    found = run(logits, FUNCTIONS[name], **SMALL, halo=2)
    whole, count = ndimage.label(logits > 0)
    assert count > 1500
    assert found.read().max() == count
    assert same_objects(found.read(), whole)


def test_a_mask_of_numbers_has_no_number_above_1(run):
    """It was taken for a mask by what it gives of the middle."""
    logits = np.full((8, 8, 80), -1, np.float32)
    logits[2, 2, 2] = logits[4, 4, 2] = logits[4, 4, 40] = 1
    text = "from scipy import ndimage\ndef process_func(x):\n    return ndimage.label(x[0, 0].numpy() > 0)[0] * 1.0\n"
    with pytest.raises(UserError, match=r"process_func gives 2 in voxels \(0, 0, 0\) and on of .*, and a mask elsewhere"):
        run(logits, text, block_shape=20, halo=0)
    assert run(logits, text, label="er", block_shape=20, halo=0).read().sum() == 3


def test_a_function_sees_a_halo(run):
    text = "import torch\ndef process_func(x):\n    return torch.nn.functional.max_pool3d(x, 5, 1, 2) > 0\n"
    logits = np.full(SHAPE, -1, np.float32)
    logits[7, 7, 7] = logits[16, 12, 3] = 1
    whole = ndimage.maximum_filter(logits, 5) > 0
    assert np.array_equal(run(logits, text, label="er", **SMALL, halo=2).read(), whole)
    assert not np.array_equal(run(logits, text, label="er", **SMALL, halo=0).read(), whole)


def test_a_flat_function_sees_sections(run):
    text = ("input_array_info = {'shape': (1, 8, 8), 'scale': (4, 8, 6)}\nbatch_size = 3\ndef process_func(x):\n"
            "    assert x.ndim == 4 and len(x) <= 3, x.shape\n    return x > x.mean((2, 3), keepdim=True)\n")
    logits = noise()
    found = run(logits, text, label="er", block_shape=64).read()
    assert np.array_equal(found, logits > logits.mean((1, 2), keepdims=True))


def test_of_bytes_a_function_gets_probabilities(run):
    values = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    assert np.array_equal(run(values, "def process_func(x):\n    return x > 0.5\n", label="er").read(), values > 127)


def test_a_method_of_a_class_comes_before_the_function(run, tmp_path):
    logits = noise()
    run(logits, "def process_func(x):\n    return x > 9\n", label="er")
    config = tmp_path / "process.py"
    config.write_text(config.read_text() + "processing['er'] = {'method': 'threshold'}\n")
    assert np.array_equal(run.again(config, "er").read(), logits > 0)


PUBLISHED = """
from cellmap_segmentation_challenge.utils import load_safe_config

config_path = "train.py"
config = load_safe_config(config_path)
batch_size = getattr(config, "batch_size", 8)
input_array_info = getattr(config, "input_array_info", {"shape": (1, 128, 128), "scale": (8, 8, 8)})
target_array_info = getattr(config, "target_array_info", input_array_info)
classes = config.classes


def process_func(x):
    return x > 0.5


if __name__ == "__main__":
    from cellmap_segmentation_challenge import process

    process(__file__, overwrite=True)
"""


def test_a_published_configuration(tmp_path, monkeypatch, capsys):
    (tmp_path / "train.py").write_text("classes = ['er', 'nuc']\ninput_array_info = {'shape': (8, 8, 8), 'scale': (4, 8, 6)}\n")
    (tmp_path / "process.py").write_text(PUBLISHED)
    logits = noise()
    put(tmp_path / "data/predictions/made.zarr", er=(logits, target("er", SHAPE)))
    monkeypatch.chdir(tmp_path)
    csc("process", "process.py", "--crops", "7")
    told = capsys.readouterr()
    assert "crop7/nuc is left out" in told.err
    assert told.out == "data/processed/made.zarr: crop7/er\n"
    assert np.array_equal(open_class("data/processed/made.zarr/crop7/er").read(), logits > 0.5)
    csc("process", "process.py", "--crops", "*")
    assert capsys.readouterr().out.startswith("up to date")
    (tmp_path / "process.py").write_text(PUBLISHED.replace("x > 0.5", "x > 0.6"))
    csc("process", "process.py", "--crops", "crop7")  # another function is another result
    assert np.array_equal(open_class("data/processed/made.zarr/crop7/er").read(), logits > 0.6)
    before = (tmp_path / "data/processed/made.zarr/crop7/er/.zattrs").read_text()
    csc("process", "process.py", "--crops", "crop7", "--overwrite")
    assert (tmp_path / "data/processed/made.zarr/crop7/er/.zattrs").read_text() != before


def test_the_table_of_a_class_that_is_nowhere_is_named(tmp_path, monkeypatch, capsys):
    put(tmp_path / "data/predictions/made.zarr", mito=(noise(), target("mito", SHAPE)))
    text = "processing = {{'*': {{'threshold': 0.6}}, '{}': {{'minimum_size': 9}}}}\ndef helper(x): return x\n"
    monkeypatch.chdir(tmp_path)
    for name, told in (("mit", "process.py: processing: 'mit' was predicted in none of these crops; did you mean 'mito'?\n"),
                       ("mito", "")):
        (tmp_path / "process.py").write_text(text.format(name))
        csc("process", "process.py", "--crops", "7", "--overwrite")
        assert capsys.readouterr().err.endswith(told)
        assert bool(told) == ("mit' was" in told)


def test_one_table_says_all(tmp_path):
    from lsd_experiments.families.cellmap.configuration import read

    path = tmp_path / "all.toml"
    path.write_text("classes = ['mito']\nepochs = 3\n[processing.mito]\nminimum_size = 7\n[workers]\nnum_workers = 2\n")
    assert read(path).epochs == 3
    found = read_processing(path)
    assert (found.classes, found.of("mito").minimum_size, found.workers.num_workers) == (("mito",), 7, 2)


def test_workers_do_it_too(run, monkeypatch):
    monkeypatch.setattr(running, "FEW", 0)
    logits = noise()
    found = run(logits, FUNCTIONS["mask"] + "workers = {'num_workers': 1}\n", label="er", block_shape=16)
    assert np.array_equal(found.read(), logits > 0)


def test_crops_are_found_by_their_pattern(tmp_path):
    for path in ("b.zarr/crop12", "b.zarr/crop2", "a.zarr/crop3", "a.zarr/notes", "a.zarr/.blockwise/crop3_er"):
        (tmp_path / path).mkdir(parents=True)
    pattern = f"{tmp_path}/{{dataset}}.zarr/{{crop}}"
    found = [(one.dataset, one.crop) for one in find_places(pattern, crops=["crop*"])]
    assert found == [("a", "crop3"), ("b", "crop2"), ("b", "crop12")]
    assert "notes" in [one.crop for one in find_places(pattern)]
    assert not [one for one in find_places(pattern) if one.crop.startswith(".")]
    assert [one.crop for one in find_places(pattern, ["b"], ["crop12"])] == ["crop12"]


@pytest.mark.parametrize(("arguments", "text", "message"), [
    (["none.py"], "", "no such configuration"),
    (["p.py", "-c", "9"], "", "no prediction of crop9 at data/predictions"),
    (["p.py"], "", "no such manifest"),
    (["p.py", "-c", "7", "-i", "data/predictons/{dataset}.zarr/{crop}"], "", "no prediction of crop7"),
    (["p.py", "-c", "7", "-i", "data/{name}.zarr/{crop}"], "", "{name} is not known"),
    (["p.py", "-c", "7", "-o", "out.zarr"], "", "has no {crop}"),
    (["p.py", "-c", "7", "-o", "out/{crop}"], "", "not in a container"),
    (["p.py", "-c", "7"], "classes = ['golgi']", "none of golgi was predicted"),
    (["p.py", "-c", "7"], "classes = []", "classes is []"),
    (["p.py", "-c", "7"], "1 / 0", "p.py:1: ends in ZeroDivisionError"),
    (["p.py", "-c", "7"], "def f(:", "p.py:1: is no Python"),
    (["p.py", "-c", "7"], "processing = {'er': {'minimal_size': 3}}", "unknown key 'minimal_size'; did you mean 'minimum_size'"),
    (["p.py", "-c", "7"], "processing = {'er': {'method': 'watersed'}}", "processing: er: 'method'"),
    (["p.py", "-c", "7"], "classes = ['er']\nprocessing = {'mio': {}}", "'mio' is none of classes"),
    (["p.py", "-c", "7"], "processing = 3", "processing is 3"),
    (["p.py", "-c", "7"], "processing = {'*': {'method': 'affinities'}}", "affinities have three"),
    (["p.py", "-c", "7"], "process_func = 3", "process_func is 3"),
    (["p.py", "-c", "7"], "procesing = {'er': {}}", "no parameter 'procesing'; did you mean 'processing'"),
    (["p.py", "-c", "7"], "def proces_func(x): return x > 0", "did you mean 'process_func'"),
    (["p.py", "-c", "7"], "processing = {'*': {'method': 'components'}}\ndef process_func(x): return x > 0", "'*' names method"),
    (["p.py", "-c", "7"], "processing = {'er': {'threshold': 0.7}}\ndef process_func(x): return x > 0", "'er' names threshold"),
    (["p.py", "-c", "7"], "def process_func(x): return x", "process_func gives 0."),
    (["p.py", "-c", "7"], "def process_func(x): return x[:, :, 1:] > 0", "for an input of shape (1, 1, 20, 24, 18)"),
    (["p.py", "-c", "7"], "def process_func(x): return y", "process_func ends in NameError"),
    (["p.py", "-c", "7"], "def process_func(x): return -(x > 0).int()", "with the value -1"),
    (["p.py", "-c", "7"], "workers = {'num_worker': 2}", "did you mean 'num_workers'"),
    (["p.toml", "-c", "7"], "clases = ['er']", "no parameter 'clases'; did you mean 'classes'"),
    (["p.toml", "-c", "7"], "classes = ['er'", "not valid TOML"),
    (["p.py", "-c", ","], "", "is empty"), (["p.py", "-w", "0"], "", "0 is not above 0"), ([], "", "required: CONFIG"),
])
def test_mistakes(tmp_path, monkeypatch, capsys, arguments, text, message):
    put(tmp_path / "data/predictions/made.zarr", er=(noise(), target("er", SHAPE)))
    (tmp_path / "p.py").write_text(text)
    (tmp_path / "p.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    csc("process", *arguments, status=2)
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("data/processed/*.zarr/crop7/er"))


def test_what_is_no_prediction_is_refused(run):
    with pytest.raises(UserError, match="is of type int64; predictions are floats, or uint8"):
        run(np.zeros(SHAPE, np.int64), label="er")
