"""Synthetic clefts: where they are, what was done to the stack, and that it can be undone by what is told."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from lsd_experiments.alignment.record import maps_from_json
from lsd_experiments.alignment.sampling import pixels
from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.cremi.files import read_cremi
from lsd_experiments.families.cremi.ids import BACKGROUND
from lsd_experiments.families.cremi.partners import segments_at
from lsd_experiments.families.cremi.synthetic import write_clefts
from tests.scripts import run_script

SHAPE, OFFSET = (10, 150, 170), (80, 40, 24)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("clefts") / "sample.zarr"
    assert write_clefts(path, SHAPE, offset=OFFSET, seed=1)
    assert not write_clefts(path, SHAPE, offset=OFFSET, seed=1), "it is there"
    return path


def read(made, name):
    return open_volume(made, name).read()


def test_clefts_are_thin_dark_sheets_between_two_neurites(made):
    clefts, neurons, raw = (read(made, f"truth/{name}") for name in ("clefts", "neuron_ids", "raw"))
    mask = clefts != BACKGROUND
    assert sorted(np.unique(clefts[mask])) == [*range(1, int(clefts[mask].max()) + 1)]
    sides = []
    for number in np.unique(clefts[mask]):
        near = ndimage.binary_dilation(clefts == number, np.ones((1, 3, 3)), iterations=6)
        sides.append(len(np.setdiff1d(neurons[near], [0])))
    assert np.mean(np.array(sides) >= 2) > 0.7, "all but some that the margin cuts"
    assert raw[mask].mean() < 0.5 * raw[~mask].mean()
    thickness = ndimage.distance_transform_edt(mask, sampling=(1e3, 4, 4))[mask].max()
    assert thickness < 60, "nm"


def test_the_stack_is_the_truth_by_the_maps_that_are_told(made):
    defects = open_volume(made, "volumes/raw").attrs["defects"]
    assert [len(defects[kind]) for kind in ("missing", "dark", "cracked")] == [1, 1, 1]
    assert len({*defects["missing"], *defects["dark"], *defects["cracked"]}) == 3
    maps = maps_from_json(defects["maps"])
    raw, truth = read(made, "volumes/raw"), read(made, "truth/raw")
    assert not raw[defects["missing"]].any()
    assert raw[defects["dark"]].mean() < 0.5 * truth[defects["dark"]].mean()
    stack, straight = (read(made, f"{place}neuron_ids") for place in ("volumes/labels/", "truth/"))
    for z, one in enumerate(maps):
        place, in_gap = one.to_aligned(pixels((0, 0), SHAPE[1:]))
        y, x = np.floor(place + 0.5).astype(int)
        inside = (y >= 0) & (y < SHAPE[1]) & (x >= 0) & (x < SHAPE[2]) & ~in_gap
        np.testing.assert_array_equal(stack[z][inside], straight[z][y[inside], x[inside]])
        assert (stack[z][in_gap] == 0).all()
        if z in defects["cracked"]:
            assert (raw[z][in_gap] == 240).all()
            assert in_gap.mean() > 0.03
    assert any((stack[z] != straight[z]).mean() > 0.05 for z in range(10)), "the control"


def test_the_file_of_cremi_has_the_stack_and_its_partners(made):
    found = read_cremi(made.with_suffix(".hdf"))
    for name, volume in found.volumes.items():
        place = "volumes/raw" if name == "raw" else f"volumes/labels/{name}"
        np.testing.assert_array_equal(volume.read(), read(made, place))
        assert volume.offset == OFFSET
    pairs = found.annotations.pairs()
    assert len(pairs)
    segments = segments_at(found.neuron_ids, pairs)
    assert (segments[:, 0] != segments[:, 1]).all()
    assert segments.all()


def test_equal_arguments_give_equal_volumes_and_others_are_refused(made, tmp_path):
    assert write_clefts(tmp_path / "again.zarr", SHAPE, offset=OFFSET, seed=1)
    for name in ("volumes/raw", "volumes/labels/clefts", "truth/raw"):
        np.testing.assert_array_equal(read(made, name), read(tmp_path / "again.zarr", name))
    with pytest.raises(UserError, match="made with other parameters"):
        write_clefts(made, SHAPE, offset=OFFSET, seed=2)
    (tmp_path / "again.hdf").unlink()
    with pytest.raises(UserError, match=r"again\.hdf: is not there"):
        write_clefts(tmp_path / "again.zarr", SHAPE, offset=OFFSET, seed=1)


def test_the_command(tmp_path):
    script = ROOT / "01_data" / "make_synthetic.py"
    ended = run_script(script, tmp_path / "s.zarr", "--kind", "clefts", "--shape", 4, 60, 70, "--straight")
    assert ended.returncode == 0, ended.stderr
    for name in ("raw", "clefts"):
        stack = "volumes/raw" if name == "raw" else f"volumes/labels/{name}"
        np.testing.assert_array_equal(read(tmp_path / "s.zarr", stack), read(tmp_path / "s.zarr", f"truth/{name}"))
    defects = open_volume(tmp_path / "s.zarr", "volumes/raw").attrs["defects"]
    assert all(one.is_identity for one in maps_from_json(defects["maps"]))
    refused = run_script(script, tmp_path / "t.zarr", "--straight")
    assert (refused.returncode, "--straight: not with --kind neuropil" in refused.stderr) == (2, True)
