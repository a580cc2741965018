"""Patches that overlap and are turned: what blocks gather is the whole volume at once, computed here by the definition.

    patch     |-----C-----|                 C: what is right of a patch in all turns: one voxel less where affinities are flipped
    next           |-----C-----|            step
"""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest

from lsd_experiments import checkpoints, networks
from lsd_experiments.arrays import open_volume
from lsd_experiments.blockwise import Workers
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.networks import Head, Input, Network, TorchNetwork, write
from lsd_experiments.networks.torch_network import load_module
from lsd_experiments.prediction import tiling
from lsd_experiments.prediction.blockwise import predict_blockwise, predict_scan
from lsd_experiments.prediction.loading import find_trained
from lsd_experiments.prediction.plan import make_plan
from lsd_experiments.prediction.settings import PredictionSettings
from lsd_experiments.prediction.tiling import blending, make_tiling
from lsd_experiments.prediction.turning import Ensemble, Turn, turns
from tests.prediction.test_turning import FIXTURES, PUBLISHED, Toy, needs_fixtures

SHAPE, VOXEL_SIZE, OFFSET = (4, 11, 13), np.array((50, 9, 4.6)), np.array((100, -27, 13.8))  # of make_raw
INPUT_SHAPE, OUTPUT_SHAPE, MARGIN = (15, 28, 26), (3, 8, 10), (6, 10, 8)
HEADS = (Head("lsds", 10, "embedding"), Head("affs", 3))
NETWORK = Network(2, 2, ((1, 3, 2),), HEADS)
WORLD = (2, -3, 3)  # raw's first voxel, from the world's origin
CODE = '''
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv3d(1, 6, (3, 5, 5)), torch.nn.Conv3d(6, 13, 1)

    def forward(self, raw):
        both = torch.sigmoid(8 * self.second(torch.relu(self.first(raw))))
        return both[:, :10], both[:, 10:]
'''


@pytest.fixture(scope="module")
def setups(tmp_path_factory):
    """By library, a setup whose network is no ideal one: it sees in which way raw is turned. Not to be changed."""
    import keras

    directory = tmp_path_factory.mktemp("anywhere")
    keras.utils.set_random_seed(4)
    model = NETWORK.build(INPUT_SHAPE)
    model.set_weights([weights * (2 if weights.ndim > 1 else 1) for weights in model.get_weights()])
    (directory / "keras").mkdir()
    networks.write(NETWORK, "config", INPUT_SHAPE, directory / "keras")
    checkpoints.save_checkpoint(model, directory / "keras", NETWORK, 3, {"voxel_size": VOXEL_SIZE.tolist()})
    (directory / "torch").mkdir()
    (directory / "torch" / "network.py").write_text(CODE)
    return directory


@pytest.fixture(scope="module")
def torch_setup(setups):
    torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")
    network = TorchNetwork("network.py:Net", HEADS, voxel_size=tuple(VOXEL_SIZE))
    write(network, "config", (5, 12, 14), setups / "torch")
    torch.manual_seed(2)
    module = load_module("network.py:Net", setups / "torch")
    torch.save(module.state_dict(), setups / "torch" / "train_net_checkpoint_3.pth")
    return setups / "torch"


@pytest.fixture
def planned(setups, make_raw, tmp_path):
    def make(name="out.zarr", setup="keras", **settings):
        return make_plan(PredictionSettings(str(setups / setup), str(make_raw(SHAPE)), str(tmp_path / name), **settings))
    return make


def read(plan):
    return {head.name: open_volume(plan.settings.out_file, f"volumes/{head.name}").read() for head in HEADS}


@pytest.fixture
def scanned(planned):
    def scan(name="out.zarr", **settings):
        plan = planned(name, **settings)
        assert predict_scan(plan)
        return read(plan)
    return scan


def turned_back(predicted, flipped, exchanged):
    """What one turn says, in the volume's axes, by hand: affinities and descriptors without the first voxel along each axis."""
    values = {name: np.swapaxes(array, 2, 3) if exchanged else array for name, array in predicted.items()}
    axes = tuple(1 + axis for axis in range(3) if flipped[axis])
    affs, lsds = (np.flip(values[name], axes).astype(np.float32) for name in ("affs", "lsds"))
    if exchanged:
        affs = affs[[0, 2, 1]]
        lsds = lsds[[0, 2, 1, 3, 5, 4, 7, 6, 8, 9]]
    inside = np.clip(4 * lsds[6:9].max(axis=0), 0, 1)  # before any of them is mirrored
    for channel, odd in enumerate((*flipped, 0, 0, 0, flipped[0] ^ flipped[1], flipped[0] ^ flipped[2], flipped[1] ^ flipped[2])):
        if odd:
            one = lsds[channel]
            lsds[channel] = np.where(inside == 1, 1 - one, one + inside * (1 - 2 * one))
    moved = affs.copy()
    for axis in range(3):
        if flipped[axis]:
            moved[axis] = np.roll(affs[axis], 1, axis)
    return {"affs": moved, "lsds": lsds}


def at_once(setup, raw, input_shape, step, blend, flips="", exchanges=(False,)):
    """The whole of ``raw``, patch after patch from far before it to far behind, in one array each of sums and of weights."""
    trained = find_trained(setup)
    model = trained.model(input_shape, "float32")
    output = trained.network.output_shape(input_shape)
    margin = [c // 2 for c in trained.network.context]
    lost = [int(axis in flips) for axis in "zyx"]
    core = [o - a for o, a in zip(output, lost, strict=True)]
    room = [c + o for c, o in zip(core, output, strict=True)]
    padded = np.pad(raw, [(m + r, m + r + o) for m, r, o in zip(margin, room, output, strict=True)])
    network_range = padded.astype(np.float32) / 255 * 2 - 1
    sums = {"affs": np.zeros((3, *padded.shape), np.float32), "lsds": np.zeros((10, *padded.shape), np.float32)}
    total, weights = np.zeros(padded.shape, np.float32), blending(blend, core)
    # the first window is centred on the first step of raw
    first = [m + r - (c - s) // 2 for m, r, c, s in zip(margin, room, core, step, strict=True)]
    starts = [range(f - f // s * s, p - o, s) for f, s, p, o in zip(first, step, padded.shape, output, strict=True)]
    for begin in itertools.product(*starts):  # of the core
        read = tuple(slice(b - a - m, b - a + o + m) for b, a, o, m in zip(begin, lost, output, margin, strict=True))
        if any(b >= m + r + s or b + c <= m + r for b, m, r, s, c in zip(begin, margin, room, raw.shape, core, strict=True)):
            continue  # touches nothing of raw
        mean = None
        for exchanged in exchanges:
            for flipped in itertools.product(*((False, True) if axis in flips else (False,) for axis in "zyx")):
                block = np.flip(network_range[read], [axis for axis in range(3) if flipped[axis]])
                block = np.swapaxes(block, 1, 2) if exchanged else block
                found = turned_back(model.predict({"raw": np.ascontiguousarray(block)}), flipped, exchanged)
                mean = found if mean is None else {name: mean[name] + found[name] for name in found}
        number = np.float32(len(exchanges) * 2 ** len(flips))
        there = tuple(slice(b, b + c) for b, c in zip(begin, core, strict=True))
        total[there] += weights
        for name, values in mean.items():
            inner = (values / number)[(slice(None), *(slice(a, None) for a in lost))]
            sums[name][(slice(None), *there)] += weights * inner
    here = tuple(slice(m + r, m + r + s) for m, r, s in zip(margin, room, raw.shape, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: np.floor((values / total)[(slice(None), *here)] * np.float32(255)) for name, values in sums.items()}


CASES = {
    "bump": {"blend": "bump"},
    "gaussian": {"blend": "gaussian", "patch_step": (3, 5, 4)},
    "flips": {"blend": "bump", "flips": "x", "patch_step": (2, 4, 5)},
}


@pytest.mark.parametrize("case", CASES)
def test_blocks_gather_what_the_whole_is(case, planned, setups, make_raw, monkeypatch):
    raw = open_volume(make_raw(SHAPE), "volumes/raw").read()
    settings = CASES[case]
    grids, found = set(), []
    for room in (0, 20_000, 2**30):  # bytes of a block's sums
        monkeypatch.setattr(tiling, "ROOM", room)
        plan = planned(f"{room}.zarr", **settings)
        assert predict_scan(plan)
        grids.add(plan.write_shape)
        found.append(read(plan))
    assert len(grids) == 3
    flips = settings.get("flips", "")
    wanted = at_once(setups / "keras", raw, INPUT_SHAPE, plan.passes[-1].tiling.step, settings["blend"], flips)
    for values in found:
        for name in wanted:
            assert values[name].std() > 5
            np.testing.assert_array_equal(values[name], wanted[name])


def test_a_pytorch_module_by_workers_with_bump_blending_and_flips(planned, torch_setup, make_raw, monkeypatch):
    raw = open_volume(make_raw(SHAPE), "volumes/raw").read()
    monkeypatch.setattr(tiling, "ROOM", 2**13)
    settings = {"setup": "torch", "blend": "bump", "flips": "zyx", "patch_step": (2, 5, 6)}
    plan = planned("workers.zarr", **settings)
    assert len(plan.blocks) > 4
    assert predict_blockwise(plan, Workers(num_workers=2))
    wanted = at_once(torch_setup, raw, (5, 12, 14), (2, 5, 6), "bump", "zyx")
    for name, values in read(plan).items():
        assert values.std() > 5
        np.testing.assert_array_equal(values, wanted[name])
    plain = planned("plain.zarr", setup="torch")
    predict_scan(plain)
    assert any(not np.array_equal(read(plain)[name], wanted[name]) for name in wanted)


def test_exchanged_axes(setups, torch_setup, tmp_path):
    """Of equal voxels and sizes."""
    from lsd_experiments.arrays import create_volume

    volume = create_volume(tmp_path / "raw.zarr", "volumes/raw", (4, 11, 13), VOXEL_SIZE, OFFSET, "uint8")
    raw = np.random.default_rng(1).integers(0, 256, volume.shape, np.uint8)
    volume.write(volume.box, raw)

    def settings(**more):
        return PredictionSettings(
            str(torch_setup), str(tmp_path / "raw.zarr"), str(tmp_path / "out.zarr"), transposes="yx", **more)

    with pytest.raises(UserError, match=r"transposes: voxels \(50.0, 9.0, 4.6\) differ along y, x"):
        make_plan(settings())
    config = json.loads((torch_setup / "config.json").read_text())
    config["network"]["voxel_size"] = [50, 9, 9]
    (torch_setup / "config.json").write_text(json.dumps(config))
    volume = create_volume(tmp_path / "raw.zarr", "volumes/raw", (4, 11, 13), (50, 9, 9), (0, 0, 0), "uint8", overwrite=True)
    volume.write(volume.box, raw)
    with pytest.raises(UserError, match=r"transposes: input shape \(5, 12, 14\) differ along y, x.*or name another input_shape"):
        make_plan(settings())
    plan = make_plan(settings(input_shape=(5, 12, 12), flips="x", blend="gaussian", patch_step=(3, 5, 5)))
    assert predict_scan(plan)
    wanted = at_once(torch_setup, raw, (5, 12, 12), (3, 5, 5), "gaussian", "x", (False, True))
    for name, values in read(plan).items():
        np.testing.assert_array_equal(values, wanted[name])


@pytest.mark.parametrize("settings", [{"blend": "bump", "patch_step": (2, 6, 6)}, {"flips": "y"}])
def test_seamless_patches_do_not_depend_on_what_is_predicted(settings, scanned):
    whole = scanned("whole.zarr", seamless=True, **settings)
    begin = np.array((1, 4, 3))
    part = scanned("part.zarr", seamless=True, roi_offset=tuple(OFFSET + VOXEL_SIZE * begin),
                   roi_shape=tuple(VOXEL_SIZE * (SHAPE - begin)), **settings)
    z, y, x = begin
    for name, values in part.items():
        assert values.std() > 5
        np.testing.assert_array_equal(values, whole[name][:, z:, y:, x:])


def test_crop_with_a_step_of_the_output_is_what_there_is_without(planned, scanned, monkeypatch):
    """Byte for byte, whichever way it goes; and it is the same output, so that one made before is up to date."""
    before, plan = scanned("plain.zarr"), planned("plain.zarr", patch_step=OUTPUT_SHAPE, blend="crop")
    assert plan.passes[-1].tiling is None
    assert plan.provenance()["key"] == planned("plain.zarr").provenance()["key"]
    assert not predict_scan(plan)
    whole = make_tiling(Ensemble.of(HEADS, (Turn(),)), "crop", None, OUTPUT_SHAPE, (0, 0, 0), None, WORLD)
    assert (whole.step, whole.begin, whole.window) == (OUTPUT_SHAPE, (0, 0, 0), Box.of_shape(OUTPUT_SHAPE))
    monkeypatch.setattr("lsd_experiments.prediction.plan.find_tiling", lambda *_: whole)
    for name, values in scanned("gathered.zarr").items():
        np.testing.assert_array_equal(values, before[name])


def test_what_provenance_says(planned):
    parameters = planned(blend="bump", flips="xz").provenance()["parameters"]
    assert {key: parameters.get(key) for key in ("patch_step", "blend", "flips", "transposes", "parity")} == {
        "patch_step": (1, 4, 5), "blend": "bump", "flips": "xz", "transposes": None, "parity": None}
    assert "patch_step" not in planned().provenance()["parameters"]
    keys = [planned(**more).provenance()["key"] for more in ({}, *CASES.values(), {"flips": "x"}, {"flips": "x", "parity": True})]
    assert len(set(keys)) == len(keys)


def test_what_channels_are_counts_where_they_are_exchanged(planned, setups, tmp_path):
    """Another neighborhood makes the prediction anew, unless nothing turns, or channels stay."""
    setup = shutil.copytree(setups / "keras", tmp_path / "renamed")

    def keys(neighborhood):
        heads = (HEADS[0], dataclasses.replace(HEADS[1], neighborhood=neighborhood))
        write(dataclasses.replace(NETWORK, heads=heads), "config", INPUT_SHAPE, setup)
        return [planned(setup=setup, **more).provenance()["key"] for more in ({"flips": "x"}, {}, {"flips": "x", "parity": True})]

    near, far = keys(((-1, 0, 0), (0, -1, 0), (0, 0, -1))), keys(((-1, 0, 0), (0, 0, -1), (0, -1, 0)))
    assert near[0] != far[0]
    assert near[1:] == far[1:]


def test_the_arithmetic():
    one = Ensemble.of(HEADS, turns("x"))
    made = make_tiling(one, "crop", None, (3, 8, 10), (5, 5, 5), None, WORLD)
    assert (made.step, made.core, made.window) == ((3, 8, 9), Box((0, 0, 1), (3, 8, 10)), Box((0, 0, 1), (3, 8, 10)))
    assert list(made.patches(Box((5, 5, 5), (8, 13, 14)))) == [(5, 5, 4)]  # its window is what was asked for
    assert len(list(made.patches(Box((5, 5, 5), (8, 13, 15))))) == 2
    half = make_tiling(one, "bump", None, (3, 8, 10), (5, 5, 5), None, WORLD)
    assert half.step == (2, 4, 5)
    asked = Box((5, 5, 5), (6, 6, 6))
    assert all(half.window.shift(begin).contains(asked) for begin in half.patches(asked))
    assert len(list(half.patches(asked))) in (2**a for a in range(4))
    assert half.block_shape((100, 100, 4), 13)[2] == 4
    seamless = make_tiling(one, "crop", None, (9, 9, 10), (5, 5, 5), (1, 3, 2), WORLD)
    for axis, (begin, world, stride) in enumerate(zip(seamless.begin, WORLD, (1, 3, 2), strict=True)):
        assert (begin + world) % stride == 0
        assert seamless.step[axis] % stride == 0
        assert begin + seamless.window.begin[axis] == 5
    with pytest.raises(UserError, match=r"patch_step \(3, 8, 10\): along x 9 voxels of a patch are kept"):
        make_tiling(one, "crop", (3, 8, 10), (3, 8, 10), (0, 0, 0), None, WORLD)
    with pytest.raises(UserError, match=r"patch_step \(1, 2, 2\): of seamless patches it must be a multiple of \(1, 3, 2\)"):
        make_tiling(one, "bump", (1, 2, 2), (3, 8, 10), (0, 0, 0), (1, 3, 2), WORLD)
    with pytest.raises(UserError, match="along y 2 voxels of a patch are kept"):
        make_tiling(one, "bump", None, (3, 2, 10), (0, 0, 0), (1, 3, 2), WORLD)


def test_what_cannot_be_is_refused(planned, setups, make_raw, tmp_path):
    with pytest.raises(UserError, match="parity: says how predictions are turned, but there are no flips"):
        planned(parity=True)
    odd = Network(2, 2, ((1, 3, 2),), (Head("affs", 3),), inputs=(Input("lsds", 10),))
    (tmp_path / "aclsd").mkdir()
    networks.write(odd, "config", INPUT_SHAPE, tmp_path / "aclsd")
    checkpoints.save_checkpoint(odd.build(INPUT_SHAPE), tmp_path / "aclsd", odd, 3, {"voxel_size": VOXEL_SIZE.tolist()})
    with pytest.raises(UserError, match="LSDs are made on the fly, of one patch for each block"):
        make_plan(PredictionSettings(str(tmp_path / "aclsd"), str(make_raw(SHAPE)), str(tmp_path / "o.zarr"), blend="bump",
                                     lsds_on_the_fly=True, lsds_setup=str(setups / "keras")))


@needs_fixtures
def test_the_weights_are_those_published():
    fixture = np.load(FIXTURES / "blending.npz")
    for key in fixture:
        mode, _, shape = key.partition("/")
        weights = blending(mode, tuple(map(int, shape.split("x"))))
        assert weights.dtype == np.float32
        np.testing.assert_allclose(weights, fixture[key], atol=1e-7, rtol=0)


@needs_fixtures
@pytest.mark.parametrize(("number", "combine", "mode"), [
    *((number, combine, "gaussian") for number in PUBLISHED for combine in ("mean", "min", "max")),
    ("None", "mean", "bump"), ("4", "min", "bump")])
def test_blended_patches_are_those_published(number, combine, mode):
    """PyTorch Connectomics puts patches where they fit into the volume, reflected around; the last ones end where it does."""
    toy, fixture = Toy(), np.load(FIXTURES / "blended.npz")
    tile, step, pad = (9, 17, 17), (4, 8, 8), (2, 4, 4)
    volume = toy.volume.astype(float)
    stretched = (volume - volume.min()) / (np.ptp(volume) + 1e-6) * 255  # its NORMALIZE_RANGE
    raw = np.pad((stretched.astype(np.uint8) / 255 - 0.5) / 0.5, [(p, p) for p in pad], mode="reflect").astype(np.float32)
    ensemble = Ensemble.of([Head("affs", 3)], turns(*PUBLISHED[number]), parity=True)
    ensemble = Ensemble(ensemble.turns, ensemble.sources, combine)
    sums, total, weights = np.zeros((3, *raw.shape)), np.zeros(raw.shape), blending(mode, tile)
    places = [sorted({min(begin, size - t) for begin in range(0, size - t + s, s)})
              for size, t, s in zip(raw.shape, tile, step, strict=True)]
    for begin in itertools.product(*places):
        there = tuple(slice(b, b + t) for b, t in zip(begin, tile, strict=True))
        sums[(slice(None), *there)] += weights * ensemble.predict(toy, {"raw": raw[there]}, Box.of_shape(tile))["affs"]
        total[there] += weights
    found = (sums / total * 255)[:, 2:-2, 4:-4, 4:-4].astype(np.uint8)
    differs = np.abs(found.astype(int) - fixture[f"{mode}/aug={number}/{combine}"])
    assert differs.max() <= 1
    assert (differs > 0).mean() < 0.005
