"""Inference: what the published program wrote, whole and in blocks; and what it did wrong, done right."""

import itertools
import json
import tracemalloc

import h5py
import numpy as np
import pytest
import tifffile

from lsd_experiments.arrays import open_volume
from lsd_experiments.blockwise import Workers
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import load
from lsd_experiments.families.pytc.samples import sources
from lsd_experiments.prediction.tiling import starts_inside
from tests.families.pytc.models import checkpoint, described
from tests.families.pytc.test_configuration import OURS
from tests.published import PUBLISHED, needs_published

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from lsd_experiments.families.pytc.checkpoints import write  # noqa: E402
from lsd_experiments.families.pytc.inference import blockwise, images  # noqa: E402
from lsd_experiments.families.pytc.inference.blockwise import infer_blockwise  # noqa: E402
from lsd_experiments.families.pytc.inference.heads import ensemble_of, heads_of  # noqa: E402
from lsd_experiments.families.pytc.inference.images import Image, image_paths, mirrored, open_images  # noqa: E402
from lsd_experiments.families.pytc.inference.inferring import infer  # noqa: E402
from lsd_experiments.families.pytc.inference.model import PytcModel  # noqa: E402
from lsd_experiments.families.pytc.inference.patches import make_patches  # noqa: E402
from lsd_experiments.families.pytc.inference.sweeping import gather, sweep  # noqa: E402
from lsd_experiments.families.pytc.networks.building import build  # noqa: E402
from lsd_experiments.geometry import Box  # noqa: E402
from lsd_experiments.networks.protocols import Model  # noqa: E402
from lsd_experiments.prediction.turning import Ensemble, Turn, head_sources  # noqa: E402

FILES = PUBLISHED / "pytc_inference"
RUNS = json.loads((FILES / "blended.json").read_text())["runs"] if FILES.is_dir() else {}
TILINGS = json.loads((FILES / "tiling.json").read_text()) if FILES.is_dir() else []
USUAL = {"MODEL.TARGET_OPT": ["2"], "MODEL.OUT_PLANES": 3, "INFERENCE.INPUT_SIZE": [9, 17, 17],
         "INFERENCE.OUTPUT_SIZE": [9, 17, 17], "INFERENCE.STRIDE": [4, 8, 8], "INFERENCE.PAD_SIZE": [2, 4, 4],
         "INFERENCE.SAMPLES_PER_BATCH": 3, "INFERENCE.IMAGE_NAME": "vol.h5", "MODEL.FILTERS": [2, 2],
         "MODEL.ISOTROPY": [False, True]}


class Toy(torch.nn.Module):
    """A convolution with zeros around."""

    def __init__(self):
        super().__init__()
        toy = np.load(FILES / "toy_model_and_volume.npz")
        self.convolve = torch.nn.Conv3d(1, 3, 3, padding=1)
        self.convolve.weight.data, self.convolve.bias.data = torch.from_numpy(toy["weight"]), torch.from_numpy(toy["bias"])

    def forward(self, raw):
        return self.convolve(raw)


@pytest.fixture
def make_config(tmp_path):
    """A configuration for inference of vol.h5 in ``tmp_path``, which holds ``raw``."""
    def make(raw=None, **others):
        if raw is not None:
            with h5py.File(tmp_path / "vol.h5", "w") as file:
                file["main"] = raw
        where = {"INFERENCE.INPUT_PATH": str(tmp_path), "INFERENCE.OUTPUT_PATH": str(tmp_path / "out")}
        values = USUAL | where | {key.replace("__", "."): value for key, value in others.items()}
        return load(pairs=[text for key, value in values.items() for text in (key, str(value))], inference=True)
    return make


@needs_published
@pytest.mark.parametrize("name", RUNS)
def test_what_the_published_program_wrote(name, make_config, tmp_path, monkeypatch):
    """Blended patches of all kinds; at most one gray value in a few voxels differs."""
    run = RUNS[name]
    monkeypatch.setattr(PytcModel, "read", classmethod(lambda cls, config, *_: cls(config, Toy().eval())))
    options = {key.replace(".", "__"): value for key, value in zip(run["options"][::2], run["options"][1::2], strict=True)}
    config = make_config(np.load(FILES / "toy_model_and_volume.npz")["raw_uint8"], **options)
    path, = infer(config, "no.pth.tar", parity=True)
    assert path == tmp_path / "out" / run["file_name"]
    expected = np.load(FILES / "blended.npz")[name]
    with h5py.File(path) as file:
        assert list(file) == run["datasets"]
        assert (file["vol0"].compression, str(file["vol0"].dtype)) == (run["compression"], run["dtype"])
        found = file["vol0"][:]
    assert found.shape == tuple(run["shape"])
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.005
    assert list(path.parent.iterdir()) == [path]


@needs_published
def test_the_complete_program(make_config, tmp_path):
    """The published configuration with a published checkpoint, as ``main.py --inference`` runs it."""
    command = json.loads((FILES / "end_to_end/command.json").read_text())
    pairs = [part.replace("IN", str(tmp_path)).replace("OUT", str(tmp_path / "out")) if part in ("IN", "OUT") else part
             for part in command["options_after_the_published_SNEMI_base_and_SNEMI/SNEMI-Affinity-UNet.yaml"]]
    make_config(np.load(FILES / "toy_model_and_volume.npz")["raw_uint8"])
    config = load(OURS / "SNEMI-Affinity-UNet.yaml", OURS / "SNEMI-Base.yaml", pairs, inference=True)
    saved = load(FILES / "end_to_end/config.yaml")
    places = ("PATH", "OUTPUT_NAME")
    assert {name: one.value for name, one in config.values.items() if not name.endswith(places)} == {
        name: one.value for name, one in saved.values.items() if not name.endswith(places)}
    path, = infer(config, checkpoint("snemi_unet3d_se_bn"), parity=True)
    with h5py.File(path) as found, h5py.File(FILES / "end_to_end" / path.name) as expected:
        difference = np.abs(found["vol0"][:].astype(int) - expected["vol0"][:])
        assert json.loads(found["vol0"].attrs["configuration"])["MODEL"]["FILTERS"] == [4, 6, 8, 10, 12]
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.005


@needs_published
@pytest.mark.parametrize("case", [case for case in TILINGS if "count" in case], ids=lambda case: str(case["volume"]))
def test_published_tiling(case):
    starts = [starts_inside(*sizes) for sizes in zip(case["padded"], case["tile"], case["stride"], strict=True)]
    assert [list(axis) for axis in starts] == [case["starts_z"], case["starts_y"], case["starts_x"]]
    assert [len(axis) for axis in starts] == case["counts_per_axis"]
    positions = [[0, *place] for place in itertools.product(*starts)]
    assert len(positions) == case["count"]
    assert positions[:len(case["first_positions"])] == case["first_positions"]
    assert positions[-len(case["last_positions"]):] == case["last_positions"]


@needs_published
def test_published_tiling_of_several_volumes():
    case = next(case for case in TILINGS if "volumes" in case)
    positions = [[number, *place] for number, volume in enumerate(case["volumes"])
                 for place in itertools.product(*(starts_inside(*sizes)
                                                  for sizes in zip(volume, case["tile"], case["stride"], strict=True)))]
    assert positions == case["positions (volume,z,y,x)"]
    with pytest.raises(UserError, match="it must not have more than the volume"):
        starts_inside(8, 9, 4)


def trained(config, tmp_path):
    """A checkpoint of a network with weights that tell directions apart."""
    torch.manual_seed(3)
    network = build(config)
    with torch.no_grad():
        network.conv_out[0].weight.mul_(4)
    write(tmp_path / "checkpoint_00001.pth.tar", network, 1)
    return tmp_path / "checkpoint_00001.pth.tar"


def random_raw(shape=(11, 30, 33)):
    return np.random.default_rng(5).integers(3, 250, shape, np.uint8)


@pytest.mark.parametrize(("number", "parity"), [(None, True), (16, True), (16, False)])
def test_blocks_are_the_whole(number, parity, make_config, tmp_path):
    """Any box is what the sweep over all gives, bit for bit, whatever the batch."""
    config = make_config(random_raw(), INFERENCE__AUG_NUM=number)
    ensemble = ensemble_of(config, parity)
    model = PytcModel.read(config, trained(config, tmp_path))
    assert isinstance(model, Model)
    patches = make_patches(config, open_images(config)[0], ensemble)

    def predict(raws):
        return ensemble.predict_all(model.predict_all, [{"raw": raw} for raw in raws], patches.core)

    def whole(batch):
        found = np.full((3, *patches.total), -1, np.float32)
        for box, outputs in sweep(patches, predict, batch):
            found[(slice(None), *box.slices)] = outputs["affs"]
        return found

    first = whole(1)
    assert np.ptp(first[(slice(None), *patches.kept.slices)]) > 0.2
    np.testing.assert_allclose(whole(4), first, atol=1e-6)
    for begin, shape in (((0, 0, 0), (3, 7, 5)), ((4, 11, 20), (7, 19, 13)), ((9, 0, 1), (2, 30, 32))):
        asked = Box.of_shape(shape, [b + k for b, k in zip(begin, patches.kept.begin, strict=True)])
        assert np.array_equal(gather(patches, predict, asked)["affs"], first[(slice(None), *asked.slices)])


def test_sums_are_of_what_is_not_done(make_config):
    """Of sections that two layers share all rows are held, of others those of a patch: not of a patch's whole depth."""
    config = make_config(random_raw((25, 192, 192)), INFERENCE__INPUT_SIZE=[9, 33, 33], INFERENCE__OUTPUT_SIZE=[9, 33, 33],
                         INFERENCE__STRIDE=[4, 16, 16], INFERENCE__PAD_SIZE=[0, 0, 0])
    patches = make_patches(config, open_images(config)[0], ensemble_of(config, False))
    outputs = {"affs": np.full((3, *patches.patch), 0.5, np.float32)}
    tracemalloc.start()
    try:
        boxes = [box for box, made in sweep(patches, lambda raws: [outputs] * len(raws), 1) if np.all(made["affs"] == 0.5)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(np.prod(box.shape) for box in boxes) == 25 * 192 * 192
    sums = 4 * 3 * 192 * (5 * 192 + 4 * (33 + 16))
    assert sums < peak < 1.7 * sums < 4 * 4 * 192 * 192 * 9, "which is what a patch's depth takes"


class Ideal(torch.nn.Module):
    """Knows affinities: whether a voxel and the one before it have one value."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, raw):
        found = []
        for axis in (2, 3, 4):
            before = torch.roll(raw, 1, axis)
            found.append((raw == before).float())
        return torch.cat(found, 1) * 20 - 10


@pytest.mark.parametrize("number", [4, 8, 16])
def test_turned_affinities_are_right(number, make_config, monkeypatch):
    """Of an ideal network the turned and blended affinities are those of the volume; as published they are not."""
    labels = np.kron(np.random.default_rng(2).integers(0, 5, (4, 8, 9)), np.ones((3, 4, 4))).astype(np.uint8) * 50
    monkeypatch.setattr(PytcModel, "read", classmethod(lambda cls, config, *_: cls(config, Ideal())))
    config = make_config(labels, INFERENCE__AUG_NUM=number, INFERENCE__AUG_MODE="mean")
    found = {parity: read(infer(config, "no.pth.tar", parity=parity, overwrite=True)[0]) for parity in (False, True)}
    wanted = np.stack([np.roll(labels, 1, axis) == labels for axis in range(3)])[:, 1:, 1:, 1:]
    right = (found[False][:, 1:, 1:, 1:] > 127) == wanted
    assert right.all()
    assert ((found[True][:, 1:, 1:, 1:] > 127) == wanted).mean() < 0.95


def read(path):
    with h5py.File(path) as file:
        return file["vol0"][:]


def test_heads_and_their_neighbours():
    long = described(outputs=12, TARGET_OPT=["2-1-1-1-v1", "2-2-3-3-v1", "2-3-9-9-v1", "2"])
    assert [(head.name, head.neighborhood) for head in heads_of(long)][1:3] == [
        ("affs1", ((-2, 0, 0), (0, -3, 0), (0, 0, -3))), ("affs2", ((-3, 0, 0), (0, -9, 0), (0, 0, -9)))]
    both = described(outputs=2, TARGET_OPT=["0", "6-2d-4-50"])
    assert [(head.name, head.channels, head.neighborhood) for head in heads_of(both)] == [
        ("foreground", 1, None), ("signed_distance", 1, None)]


def test_centred_affinities_go_with_their_axes(make_config):
    """Between v - d and v + d: a flip changes nothing, an exchange of axes exchanges channels."""
    config = make_config(MODEL__TARGET_OPT=["2-1-2-2-v2"], INFERENCE__AUG_NUM=16)
    ensemble = ensemble_of(config, parity=False)
    assert ensemble.margins == ((0, 0, 0), (0, 0, 0))
    exchanged = [[source.channel for source in sources] for sources in ensemble.sources["affs"]]
    assert exchanged == [[0, 1, 2]] * 8 + [[0, 2, 1]] * 8
    assert ensemble_of(config, parity=True).sources["affs"][-1] == head_sources(heads_of(config)[0], Turn(), True)
    direct = ensemble_of(make_config(INFERENCE__AUG_NUM=16), parity=False)
    assert direct.margins == ((1, 1, 1), (0, 0, 0))


def test_flows_are_not_turned(make_config):
    config = make_config(MODEL__TARGET_OPT=["7"], MODEL__OUT_PLANES=2, INFERENCE__AUG_NUM=4)
    with pytest.raises(UserError, match=r"INFERENCE\.AUG_NUM is 4, but it is not known how target 7 turns"):
        ensemble_of(config, parity=False)
    assert isinstance(ensemble_of(config, parity=True), Ensemble)


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "constant"])
@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (1.0, 2.0, 0.5)])
def test_an_image_is_padded_and_scaled_as_a_whole(mode, scale, make_config):
    """What is read of a box is that of numpy's pad and scipy's zoom of all of it."""
    from scipy.ndimage import zoom

    raw = random_raw((4, 9, 11))
    config = make_config(raw, DATASET__PAD_MODE=mode, DATASET__DATA_SCALE=list(scale), DATASET__NORMALIZE_RANGE=False,
                         INFERENCE__PAD_SIZE=[2, 7, 30], DATASET__MEAN=0.25, DATASET__STD=0.5)
    image, = open_images(config)
    whole = np.pad(zoom(raw, scale, order=1), [(2, 2), (7, 7), (30, 30)], mode=mode)
    assert image.shape == whole.shape
    wanted = (whole / np.float32(255) - np.float32(0.25)) / np.float32(0.5)
    for begin, shape in (((0, 0, 0), whole.shape), ((1, 3, 28), (5, 9, 13))):
        box = Box.of_shape(shape, begin)
        np.testing.assert_allclose(image.read(box), wanted[box.slices], atol=1.01 / 255 / 0.5 if scale[1] > 1 else 1e-6)
        assert np.mean(np.abs(image.read(box) - wanted[box.slices]) > 1e-6) < 0.02


def test_values_are_stretched(make_config, tmp_path):
    """To 0 and 255; as published, to one less where they are whole numbers."""
    raw = np.arange(0, 256, dtype=np.uint8).reshape(4, 8, 8)
    low = open_images(make_config(raw))[0]
    assert np.array_equal(low._stretched(low.volume.box), raw)
    published = open_images(make_config(), parity=True)[0]
    assert np.array_equal(published._stretched(published.volume.box), np.maximum(raw, 1) - 1)
    half = open_images(make_config((raw // 2).astype(np.uint16)))[0]
    assert np.array_equal(half._stretched(half.volume.box), np.rint(raw // 2 * (255 / 127)))
    flat = open_images(make_config(np.full((4, 8, 8), 7, np.uint8)))[0]
    assert not flat._stretched(flat.volume.box).any()


def test_sections_one_by_one(make_config, tmp_path):
    """A network of sections, in eight turns; each section is what it is alone."""
    raw = random_raw((3, 30, 33))
    options = {"MODEL__ARCHITECTURE": "unet_2d", "DATASET__DO_2D": True, "MODEL__OUT_PLANES": 2, "INFERENCE__AUG_NUM": 16,
               "INFERENCE__INPUT_SIZE": [1, 17, 17], "INFERENCE__OUTPUT_SIZE": [1, 17, 17], "INFERENCE__STRIDE": [1, 8, 8],
               "INFERENCE__PAD_SIZE": [0, 4, 4]}
    config = make_config(raw, **options, DATASET__NORMALIZE_RANGE=False)
    path = trained(config, tmp_path)
    out, = infer(config, path)
    whole = read(out)
    assert (out.name, whole.shape) == ("result_txy.h5", (2, 3, 30, 33))
    alone = read(infer(make_config(raw[1:2], **options, DATASET__NORMALIZE_RANGE=False), path, overwrite=True)[0])
    assert np.abs(whole[:, 1:2].astype(int) - alone).max() <= 1
    assert np.abs(whole[:, :1].astype(int) - alone).max() > 1


def test_which_scale_counts(make_config):
    """INFERENCE.DATA_SCALE over what the training's images were scaled by."""
    trained_with = {"DATASET__IMAGE_SCALE": [1.0, 0.5, 0.5]}
    assert open_images(make_config(random_raw(), **trained_with))[0].inner_shape == (11, 15, 16)
    assert open_images(make_config(**trained_with, INFERENCE__DATA_SCALE=[1.0, 2.0, 1.0]))[0].inner_shape == (11, 60, 33)


def test_a_transformer_of_one_size_is_not_transposed(make_config):
    def turned(number, size):
        sizes = {"INFERENCE__INPUT_SIZE": size, "INFERENCE__OUTPUT_SIZE": size}
        return len(ensemble_of(make_config(MODEL__ARCHITECTURE="unetr", INFERENCE__AUG_NUM=number, **sizes), parity=False).turns)

    assert (turned(4, [8, 32, 48]), turned(8, [8, 32, 32])) == (4, 8)
    with pytest.raises(UserError, match=r"AUG_NUM is 8, so that y and x change places, but unetr takes one size"):
        turned(8, [8, 32, 48])


def test_heads_of_a_transformer_count(make_config, tmp_path):
    """Weights of one shape give another output with other heads; what was made with the usual ones stays what it is."""
    path = tmp_path / "some.pth.tar"
    path.write_bytes(b"weights")

    def made_with(**others):
        config = make_config(random_raw(), INFERENCE__OUTPUT_NAME="result.zarr", **others)
        return blockwise.inference_stage(config, path, 0, tmp_path / "result.zarr", 0, False, False).made["parameters"]

    usual = made_with()
    assert not [name for name in usual if "HEADS" in name]
    assert made_with(MODEL__UNETR_NUM_HEADS=12) == usual
    assert made_with(MODEL__UNETR_NUM_HEADS=6) == usual | {"MODEL.UNETR_NUM_HEADS": 6}


def test_mirrors_far_away():
    for size, mode in itertools.product((1, 2, 5), ("reflect", "symmetric")):
        wanted = np.pad(np.arange(size), 13, mode=mode)
        assert mirrored(np.arange(-13, size + 13), size, mode).tolist() == wanted.tolist()


def test_several_images_and_names(make_config, tmp_path):
    """One file with vol0 and vol1, or (DO_SINGLY) a file each, numbered; TIFF and HDF5 whose dataset has any name."""
    tifffile.imwrite(tmp_path / "b.tif", random_raw((9, 17, 20)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/any"] = random_raw((9, 17, 25)).astype(np.uint16) * 200
    names = {"INFERENCE__IMAGE_NAME": "a.h5@b.tif", "INFERENCE__PAD_SIZE": [0, 0, 0]}
    config = make_config(random_raw(), **names)
    path = trained(config, tmp_path)
    out, = infer(config, path)
    with h5py.File(out) as file:
        assert {name: file[name].shape for name in file} == {"vol0": (3, 9, 17, 25), "vol1": (3, 9, 17, 20)}
        assert file["vol0"].attrs["resolution"].tolist() == [1, 1, 1]
    singly = make_config(**names, INFERENCE__DO_SINGLY=True, INFERENCE__DO_SINGLY_START_INDEX=3, INFERENCE__AUG_NUM=4)
    assert [one.name for one in infer(singly, path, parity=True)] == ["result_3_xy.h5", "result_4_xy.h5"]
    (tmp_path / "tiles").mkdir()
    (tmp_path / "names.txt").write_text("tiles.json\nsections/*.tif\n")
    (tmp_path / "sections").mkdir()
    raw = random_raw((9, 17, 20))
    for z, section in enumerate(raw):
        tifffile.imwrite(tmp_path / "sections" / f"{z}.tif", section)
        tifffile.imwrite(tmp_path / "tiles" / f"{z}_0_0.tif", section)
    (tmp_path / "tiles.json").write_text(json.dumps({
        "depth": 9, "height": 17, "width": 20, "tile_size": 32, "dtype": "uint8",
        "image": [f"tiles/{z}_{{row}}_{{column}}.tif" for z in range(9)]}))
    named = make_config(INFERENCE__IMAGE_NAME="names.txt", INFERENCE__PAD_SIZE=[0, 0, 0], INFERENCE__OUTPUT_NAME="named")
    with h5py.File(infer(named, path)[0]) as file:
        assert np.array_equal(file["vol0"][:], file["vol1"][:])
        assert np.ptp(file["vol0"][:]) > 20
    absolute = make_config(INFERENCE__IMAGE_NAME=[str(tmp_path / "vol.h5")], INFERENCE__IS_ABSOLUTE_PATH=True)
    assert image_paths(absolute) == [tmp_path / "vol.h5"]


def test_zarr_is_what_hdf5_is(make_config, tmp_path):
    config = make_config(random_raw())
    path = trained(config, tmp_path)
    first, = infer(config, path)
    second, = infer(make_config(INFERENCE__OUTPUT_NAME="result.zarr"), path)
    assert second.name == "result.zarr"
    assert np.array_equal(open_volume(second, "vol0").read(), read(first))
    again = make_config(INFERENCE__OUTPUT_NAME="result.zarr", INFERENCE__OUTPUT_ACT=["none"])
    with pytest.raises(UserError, match="not within 0 and 1"):
        infer(again, path, overwrite=True)
    assert np.array_equal(open_volume(second, "vol0").read(), read(first)), "what failed left what was there"
    assert {file.name for file in second.parent.iterdir()} == {"result.h5", "result.zarr"}
    infer(make_config(INFERENCE__OUTPUT_NAME="result.zarr", INFERENCE__UNPAD=False), path, overwrite=True)
    assert open_volume(second, "vol0").shape == (15, 38, 41)


@pytest.mark.parametrize("turned", [{}, {"INFERENCE__AUG_NUM": 4, "INFERENCE__OUTPUT_SCALE": [1.0, 0.5, 0.5]}])
def test_workers_make_the_same(turned, make_config, tmp_path, monkeypatch):
    """By a worker of another process, in blocks that do not fit; once done it is done, and made otherwise it is refused."""
    monkeypatch.setattr(blockwise, "ROOM", 4 * 4 * 8 * 16 * 24 // (4 if turned else 1))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    raw = random_raw()
    one = make_config(raw, **turned, INFERENCE__SAMPLES_PER_BATCH=1)
    path = trained(one, tmp_path)
    expected = read(infer(one, path)[0])
    config = make_config(raw, **turned, INFERENCE__OUTPUT_NAME="blocks.zarr")
    out, = infer_blockwise(config, path, Workers(num_workers=1))
    found = open_volume(out, "vol0")
    assert np.array_equal(found.read(), expected)
    assert found.attrs["provenance"]["stage"] == "predict"
    patches = blockwise._patches(config, 0, parity=False)
    assert len(list(patches.kept.blocks(blockwise.write_shape(config, patches)))) > 3
    task = blockwise.inference_stage(config, path, 0, out, 0, parity=False, allow_partial=False).task(Workers(num_workers=1))
    with monkeypatch.context() as patch:
        patch.setattr(images, "find_range", lambda volume: pytest.fail("a worker knows the range"))
        blockwise.make_worker(json.loads(json.dumps(task.settings)))
    monkeypatch.setattr(blockwise, "run_blockwise", lambda task: pytest.fail("nothing is left to do"))
    assert infer_blockwise(config, path, Workers(num_workers=1)) == [out]
    other = make_config(**turned, INFERENCE__OUTPUT_NAME="blocks.zarr", INFERENCE__BLENDING="bump")
    with pytest.raises(UserError, match=r"made with INFERENCE\.BLENDING = \"?gaussian\"?, now it is \"?bump"):
        infer_blockwise(other, path, Workers(num_workers=1))
    with pytest.raises(UserError, match=r"is result\.h5, but several workers write zarr alone"):
        infer_blockwise(make_config(), path, Workers(num_workers=1))


def test_sizes_and_offsets_of_voxels_are_kept(make_config, tmp_path):
    config = make_config(random_raw(), INFERENCE__OUTPUT_SCALE=[1.0, 0.5, 0.5])
    with h5py.File(tmp_path / "vol.h5", "a") as file:
        file["main"].attrs.update({"resolution": (30, 6, 6), "offset": (60, -6, 12)})
    found = open_volume(infer(config, trained(config, tmp_path))[0], "vol0")
    assert (found.voxel_size, found.offset) == ((30, 12, 12), (60, -6, 12))
    padded = make_config(INFERENCE__UNPAD=False, INFERENCE__AUG_NUM=4, INFERENCE__OUTPUT_SCALE=[1.0, 0.5, 0.5])
    wide = open_volume(infer(padded, tmp_path / "checkpoint_00001.pth.tar")[0], "vol0")
    assert (wide.voxel_size, wide.offset) == ((30, 12, 12), (0, -30, -12))


def test_what_is_refused(make_config, tmp_path, monkeypatch):
    config = make_config(random_raw())
    path = trained(config, tmp_path)
    infer(config, path)
    with pytest.raises(UserError, match=r"result\.h5: is there. Pass --overwrite"):
        infer(config, path)
    for others, said in (
        ({"INFERENCE__IMAGE_NAME": "none.h5"}, r"none\.h5: no such file"),
        ({"INFERENCE__IMAGE_NAME": None}, "DATASET.IMAGE_NAME names no image"),
        ({"INFERENCE__INPUT_SIZE": [9, 49, 49], "INFERENCE__OUTPUT_SIZE": [9, 49, 49]},
         r"vol\.h5:main: has \(11, 30, 33\) voxels"),
        ({"INFERENCE__STRIDE": [4, 18, 8]}, "INFERENCE.STRIDE is .4, 18, 8., but along y 17 voxels of a patch count"),
        ({"INFERENCE__STRIDE": [9, 17, 17], "INFERENCE__AUG_NUM": 16}, "but along z 8 voxels of a patch count"),
        ({"INFERENCE__OUTPUT_SIZE": [9, 17, 15]}, "MODEL.OUTPUT_SIZE is .9, 17, 15., but networks give the size they get"),
        ({"MODEL__ARCHITECTURE": "unetv0", "MODEL__FILTERS": [16] * 5, "INFERENCE__OUTPUT_ACT": ["none"]},
         "MODEL.INPUT_SIZE is .9, 17, 17.: the network does not take it"),
        ({"INFERENCE__OUTPUT_ACT": ["none"]}, "INFERENCE.OUTPUT_ACT: 'affs' is from"),
        ({"INFERENCE__INPUT_PATH": f"{tmp_path}@{tmp_path}"}, "DATASET.IMAGE_NAME: 1 files in 2 folders"),
    ):
        with pytest.raises(UserError, match=said):
            infer(make_config(**others), path, overwrite=True)
    monkeypatch.setattr(sources, "SLAB", 30 * 33)
    bad = random_raw().astype(np.float32)
    bad[7, 3, 4] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(UserError, match=r"bad\.npy: holds values that are not finite"):
        open_images(make_config(INFERENCE__IMAGE_NAME="bad.npy"))
    tifffile.imwrite(tmp_path / "wide.tif", random_raw().astype(np.uint16))
    with pytest.raises(UserError, match=r"wide\.tif: is uint16, not uint8. Set DATASET.NORMALIZE_RANGE True"):
        open_images(make_config(INFERENCE__IMAGE_NAME="wide.tif", DATASET__NORMALIZE_RANGE=False))
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["result.h5"], "what failed left nothing"
    assert isinstance(open_images(config)[0], Image)
