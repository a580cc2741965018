"""csc predict: each voxel of each crop, of any size and in any orientation, as it is stored."""

import math

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.prediction.crops import Place, find_places
from lsd_experiments.families.cellmap.split import Layout
from lsd_experiments.geometry import Box
from lsd_experiments.stages.inputs import check_finished
from tests.cellmap.configured import BEGIN, SHAPE, TEST, VOXEL, settings, write_challenge

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from lsd_experiments.families.cellmap import checkpoints, command  # noqa: E402
from lsd_experiments.families.cellmap.configuration import read  # noqa: E402
from lsd_experiments.families.cellmap.data.preprocessing import Preprocessing  # noqa: E402
from lsd_experiments.families.cellmap.data.samples import Samples  # noqa: E402
from lsd_experiments.families.cellmap.prediction import outputs, predicting  # noqa: E402
from lsd_experiments.families.cellmap.prediction.model import Model  # noqa: E402
from lsd_experiments.families.cellmap.prediction.patches import block_shape, crop_shape, open_raw, planes  # noqa: E402

CUBE = (4.0, 4.0, 4.0)
RAW = "recon-1/em/fibsem-uint8"
SIZES = [(3, 5, 6), (8, 8, 8), (9, 8, 17), (10, 24, 28)]  # of crops: less than a patch of 8, one, one voxel more, no multiple


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    path = tmp_path_factory.mktemp("challenge")
    return path, write_challenge(path)


def place_of(challenge, begin, shape):
    low, high = (tuple(b + n * v for b, n, v in zip(BEGIN, at, VOXEL, strict=True)) for at in
                 (begin, [a + s for a, s in zip(begin, shape, strict=True)]))
    return Place("made", "crop9", str(challenge[0] / "data/made/made.zarr"), RAW, ("mito", "er"), low, high)


def predicted(given, network, place, overlap=0.25, blending="bump", orthoplanes=True, room=2**29):
    """All logits of a crop, block by block; the shape of a block."""
    model = Model(given, network.eval(), Preprocessing.raw(given), torch.device("cpu"))
    raw, shape = open_raw(given, place), crop_shape(given, place)
    made = planes(given, raw, shape, overlap, blending, orthoplanes)
    found, block = np.full((2, *shape), np.nan, np.float32), block_shape(made, 2, room)
    for box in Box.of_shape(shape).blocks(block):
        box = box.intersect(Box.of_shape(shape))
        found[(slice(None), *box.slices)] = predicting.gathered(model, made, ("mito", "er"), box)
    return found, block


def network(dims, kernel=1, padding=0):
    """A convolution whose weights are all different."""
    made = (torch.nn.Conv2d, torch.nn.Conv3d)[dims - 2](1, 2, kernel, padding=padding)
    with torch.no_grad():
        made.weight.copy_(torch.linspace(-1, 2, made.weight.numel()).view_as(made.weight))
        made.bias.copy_(torch.tensor([0.5, -0.25]))
    return made


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize(("patch", "overlap", "blending"), [((8, 8, 8), 0, "none"), ((4, 8, 8), 0.25, "bump"),
                                                             ((1, 8, 8), 0.5, "gaussian")])
def test_every_voxel_of_any_size(shape, patch, overlap, blending, challenge, tmp_path):
    """Published: 26 of 100 voxels of a crop of 400 cubed with patches of 128."""
    begin = [(there - here) // 2 for there, here in zip(SHAPE, shape, strict=True)]
    given = settings(tmp_path, input_array_info={"shape": patch, "scale": VOXEL}, batch_size=3)
    conv = network(2 if 1 in patch else 3)
    found, _ = predicted(given, conv, place_of(challenge, begin, shape), overlap, blending)
    raw = challenge[1][tuple(slice(b, b + n) for b, n in zip(begin, shape, strict=True))] / np.float32(255)
    expected = raw * conv.weight.detach().numpy().reshape(2, 1, 1, 1) + conv.bias.detach().numpy().reshape(2, 1, 1, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_what_lies_around_a_crop_is_seen(challenge, tmp_path):
    """A network that gives less than it gets; blocks are of the size that there is room for, and change nothing."""
    given = settings(tmp_path, input_array_info={"shape": (6, 10, 12), "scale": VOXEL},
                     target_array_info={"shape": (4, 8, 10), "scale": VOXEL})
    conv, shape, begin = network(3, 3), (7, 12, 21), (3, 6, 2)
    place = place_of(challenge, begin, shape)
    found, block = predicted(given, conv, place)
    assert block == shape
    small, block = predicted(given, conv, place, room=8000)
    assert math.prod(block) < math.prod(shape)
    np.testing.assert_allclose(small, found, rtol=1e-5, atol=1e-5)
    around = np.pad(challenge[1] / np.float32(255), 1)
    part = around[tuple(slice(b, b + n + 2) for b, n in zip(begin, shape, strict=True))]
    with torch.inference_mode():
        expected = conv(torch.from_numpy(np.ascontiguousarray(part))[None, None])[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert place.begin[2] != BEGIN[2]


def test_sections_along_three_axes_are_averaged(challenge, tmp_path):
    """Each patch with its axes in order: published, along y and x the wrong axis is squeezed."""
    info = {"input_array_info": {"shape": (1, 8, 10), "scale": CUBE}, "target_array_info": {"shape": (1, 6, 8), "scale": CUBE}}
    given, conv = settings(tmp_path, **info), network(2, 3)
    place = place_of(challenge, (2, 4, 6), (5, 10, 11))
    found, _ = predicted(given, conv, place)
    assert found.shape == (2, 10, 10, 11)
    image = open_raw(given, place)
    raw = image.grays(Box((-1, -1, -1), tuple(n + 1 for n in found.shape[1:]))).astype(np.float32) / 255
    parts = []
    for axis in range(3):
        inner = np.moveaxis(raw, axis, 0)[1:-1]
        with torch.inference_mode():
            made = conv(torch.from_numpy(np.ascontiguousarray(inner))[:, None]).numpy()
        parts.append(np.moveaxis(made.swapaxes(0, 1), 1, axis + 1))
    np.testing.assert_allclose(found, np.mean(parts, axis=0), rtol=1e-4, atol=1e-4)
    alone, _ = predicted(given, conv, place, orthoplanes=False)
    np.testing.assert_allclose(alone, parts[0], rtol=1e-4, atol=1e-4)
    flat = settings(tmp_path, input_array_info={"shape": (1, 8, 10), "scale": VOXEL})
    assert len(planes(flat, open_raw(flat, place), (5, 10, 11), 0, "none", True)) == 1  # voxels that are no cubes


def test_outputs_of_other_voxels_than_inputs(challenge, tmp_path):
    """Twice as large ones: where they lie, and all of them."""
    given = settings(tmp_path, input_array_info={"shape": (4, 8, 8), "scale": VOXEL},
                     target_array_info={"shape": (2, 4, 4), "scale": tuple(2 * v for v in VOXEL)})
    place = place_of(challenge, (1, 3, 4), (7, 18, 21))
    found, _ = predicted(given, torch.nn.Sequential(network(3), torch.nn.AvgPool3d(2)), place, 0, "none")
    assert found.shape == (2, 4, 9, 11)
    raw = np.zeros((8, 18, 22), np.float32)
    inside = challenge[1][1:9, 3:21, 4:26]
    raw[tuple(map(slice, inside.shape))] = inside / np.float32(255)
    means = raw.reshape(4, 2, 9, 2, 11, 2).mean((1, 3, 5))
    np.testing.assert_allclose(found[0], means * -1 + 0.5, rtol=1e-5, atol=1e-5)
    wrong = settings(tmp_path, input_array_info={"shape": (4, 8, 8), "scale": VOXEL},
                     target_array_info={"shape": (4, 8, 8), "scale": (8, 4, 4.1371)})
    with pytest.raises(UserError, match=r"its scale .* does not fit the input's"):
        predicted(wrong, network(3), place)


def test_a_small_crop_at_the_end_of_raw_is_seen_with_what_there_is(challenge, tmp_path):
    """Its patch reaches backwards, not beyond the raw."""
    given = settings(tmp_path, input_array_info={"shape": (8, 8, 8), "scale": VOXEL})
    place = place_of(challenge, (8, 16, 20), (2, 8, 8))
    made, = planes(given, open_raw(given, place), (2, 8, 8), 0, "none", False)
    assert made.patches.origins == ((-6,), (0,), (0,))
    assert made.patches.kept.begin == (6, 0, 0)
    middle = place_of(challenge, (4, 16, 20), (2, 8, 8))
    assert planes(given, open_raw(given, middle), (2, 8, 8), 0, "none", False)[0].patches.origins[0] == (-3,)


def test_raw_is_what_training_and_validation_see(challenge, tmp_path):
    """The same patch from the sampler and from prediction."""
    info = {"shape": (4, 8, 8), "scale": VOXEL}
    given = settings(tmp_path, datasplit_path=str(challenge[0] / "datasplit.csv"), input_array_info=info)
    batch = Samples(given, "train").batch(3)
    seen = []

    class Seen(torch.nn.Module):
        def forward(self, image):
            seen.append(image)
            return torch.cat([image, image], 1)

    place = place_of(challenge, batch.places[0].begin, (4, 8, 8))
    predicted(given, Seen(), place, 0, "none")
    assert torch.equal(seen[-1][0], batch.input[0])


def test_how_values_are_stored():
    logits = np.array([-1e6, -1, 0, 2, 1e6], np.float32)
    assert outputs.stored(logits, "logits", "float32") is logits
    half = outputs.stored(logits, "logits", "float16")
    assert half.dtype == np.float16
    assert half.tolist() == [-65504, -1, 0, 2, 65504]
    likely = outputs.stored(logits, "probabilities", "float32")
    np.testing.assert_allclose(likely, [0, 1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-2)), 1], atol=1e-6)
    assert outputs.stored(logits, "probabilities", "uint8").tolist() == [0, 69, 128, 225, 255]
    with pytest.raises(UserError, match="uint8 is for probabilities"):
        outputs.check_kind("logits", "uint8")


def test_a_full_disk_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"1.02e\+03 TiB would be written, .* there is room for"):
        outputs.check_room(2**50, tmp_path / "a/b.zarr", force=False)
    assert "3 KiB before compression" in outputs.check_room(3072, tmp_path / "a", force=False)
    assert outputs.check_room(2**50, tmp_path, force=True)
    assert list(tmp_path.iterdir()) == []


CONFIG = """
import torch
from lsd_experiments.families.cellmap.transforms import Compose, Normalize

classes = ["mito", "er"]
model_name = "point"
device = "cpu"
model = torch.nn.Conv3d(1, {channels}, 1)
input_array_info = {{"shape": (4, 8, 8), "scale": (8, 4, 4)}}
val_raw_value_transforms = Compose([Normalize(0, {scale})])
"""


@pytest.fixture
def project(challenge, tmp_path, monkeypatch):
    """A directory with a configuration and a checkpoint; what runs csc predict there."""
    (tmp_path / "data").symlink_to(challenge[0] / "data")
    monkeypatch.chdir(tmp_path)

    def configured(channels=2, scale=0.5):
        (tmp_path / "train.py").write_text(CONFIG.format(channels=channels, scale=scale))
        return read(tmp_path / "train.py")

    given = configured()
    checkpoints.write(given.checkpoint_path(1), network(3), 1, 3, preprocessing={"raw": Preprocessing.raw(given).description})

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            command.main(["predict", "train.py", "--output-path", str(tmp_path / "out/{dataset}.zarr/{crop}"), *arguments])
        return ended.value.code

    run.configured, run.out = configured, tmp_path / "out/made.zarr"
    return run


def test_a_test_crop_in_the_classes_that_it_is_scored_in(project, challenge, capsys, monkeypatch):
    """er, not mito, nor nuc, which the model has not; where it is scored. It is done once."""
    assert project() == 0
    said = capsys.readouterr()
    assert "1 of 1 crops, 1 arrays: 2.05 KiB before compression" in said.err
    assert said.out.strip() == str(project.out / "crop3")
    assert [path.name for path in sorted((project.out / "crop3").iterdir()) if path.name[0] != "."] == ["er"]
    found = open_volume(project.out, "crop3/er")
    low, high = TEST
    assert (found.voxel_size, found.shape, found.dtype) == (VOXEL, (5, 15, 14), np.float16)
    assert found.offset == tuple(b + n * v for b, n, v in zip(BEGIN, low, VOXEL, strict=True))
    assert found.attrs["values"] == "logits"
    assert found.array.compressor is not None
    raw = challenge[1][tuple(map(slice, low, high))]
    expected = raw * 0.5 * 2 - 0.25
    np.testing.assert_allclose(found.read(found.box), expected, rtol=1e-3)
    monkeypatch.setattr(predicting, "make_worker", lambda settings: pytest.fail("it is done"))
    assert project() == 0
    assert "crops" not in capsys.readouterr().err


def test_several_crops_by_workers(project, challenge, monkeypatch):
    """All annotated ones, each in its place; probabilities; the blocks of the first one by a worker."""
    monkeypatch.setattr(predicting, "ROOM", 30_000)
    assert project("--crops", "*", "--values", "probabilities", "--dtype", "uint8", "--dry-run") == 0
    assert not project.out.exists()
    assert project("--crops", "crop2", "--values", "probabilities", "--dtype", "uint8") == 0
    monkeypatch.setattr(predicting, "ROOM", 2**29)
    assert project("--crops", "*", "--values", "probabilities", "--dtype", "uint8") == 0
    assert sorted(path.name for path in project.out.iterdir() if path.name.startswith("crop")) == ["crop1", "crop2"]
    second = open_volume(project.out, "crop2/mito")
    assert second.shape == (10, 24, 14)
    assert second.offset[2] == BEGIN[2] + 14 * VOXEL[2]
    assert second.attrs["values"] == "probabilities"
    assert second.dtype == np.uint8
    assert (project.out / ".blockwise/crop2_mito/done").is_dir()
    assert not (project.out / ".blockwise/crop1_mito/done").exists()  # one block, by this process
    values = second.read(second.box)
    expected = 1 / (1 + np.exp(-(challenge[1][:, :, 14:] * 0.5 * -1 + 0.5)))
    np.testing.assert_allclose(values, 255 * expected, atol=0.51)


def test_a_network_that_gives_nan_is_refused(project, capsys):
    given, made = project.configured(), torch.nn.Conv3d(1, 2, 1)
    with torch.no_grad():
        made.bias.fill_(float("nan"))
    checkpoints.write(given.checkpoint_path(5), made, 5, 15)
    assert project("--crops", "crop2") == 2
    assert "_5.pth: gives NaN in crop2. Predict with another epoch" in capsys.readouterr().err
    with pytest.raises(UserError, match="not finished"):
        check_finished(open_volume(project.out, "crop2/er"), "csc predict")


def test_several_channels_of_a_class_are_an_axis(project):
    given = project.configured(channels=4)
    made = torch.nn.Conv3d(1, 4, 1)
    checkpoints.write(given.checkpoint_path(2), made, 2, 6)
    assert project("--crops", "crop2") == 0
    found = open_volume(project.out, "crop2/er")
    assert (found.channels, found.shape) == (2, (10, 24, 14))
    given = project.configured(channels=3)
    checkpoints.write(given.checkpoint_path(3), torch.nn.Conv3d(1, 3, 1), 3, 9)
    assert project("--crops", "crop2", "--output-path", "x.zarr/{crop}") == 2


def test_the_preprocessing_is_that_of_the_checkpoint(project, caplog):
    """Published: validation's is for validation alone, and prediction takes another one."""
    assert project() == 0
    first = open_volume(project.out, "crop3/er")
    before = first.read(first.box)
    project.configured(scale=0.25)
    assert project("--overwrite") == 0
    assert "are others than those that the network was validated with, which are taken" in caplog.text
    second = open_volume(project.out, "crop3/er")
    assert np.array_equal(second.read(second.box), before)


def test_which_crops_are_meant(challenge):
    root = challenge[0]
    layout = Layout(str(root / "data/{dataset}/{dataset}.zarr/recon-1/{name}"))
    manifest = str(root / "data/test_crop_manifest.csv")
    places, left = find_places(layout, ["3", "crop2"], ["er", "mito"], manifest)
    assert [(place.name, place.classes) for place in places] == [("crop3", ("er",)), ("crop2", ("er", "mito"))]
    assert left == []
    only, all_of_er = (find_places(layout, [name], [label], manifest)[0] for name, label in (("crop2", "er"), ("*", "er")))
    assert [(place.name, place.classes) for place in only] == [("crop2", ("er",))]  # where er is not annotated
    assert [place.name for place in all_of_er] == ["crop1"]
    with pytest.raises(UserError, match="there is no crop with one of nuc with raw at"):
        find_places(layout, ["*"], ["nuc"], manifest)
    with pytest.raises(UserError, match=r"there is no crop77 with raw at .*, nor in the manifest"):
        find_places(layout, ["77"], ["er"], manifest)
    with pytest.raises(UserError, match=r"none is left. crop3 is left out: it is scored in none of mito"):
        find_places(layout, ["test"], ["mito"], manifest)
    gone = Layout(str(root / "data/{dataset}/gone.zarr/recon-1/{name}"))
    with pytest.raises(UserError, match=r"there is no raw at .* csc fetch-data"):
        find_places(gone, ["test"], ["er"], manifest)


def test_one_place_for_two_crops_is_refused(project, capsys):
    assert project("--crops", "*", "--output-path", "all.zarr") == 2
    assert "is one place for made/crop1 and made/crop2" in capsys.readouterr().err
