"""segment.py: from affinities of a synthetic SNEMI3D to scores."""

import csv
import json

import h5py
import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc import segment_command
from lsd_experiments.families.pytc.affinities import affinities
from lsd_experiments.families.pytc.label_edits import widen_boundaries
from lsd_experiments.families.pytc.synthetic import write_snemi3d
from lsd_experiments.families.pytc.waterz import segment
from tests.scripts import ROOT, run_script

SCRIPT = ROOT / "02_train" / "snemi3d" / "segment.py"
VOXEL_SIZE, OFFSET = (30.0, 6.0, 6.0), (60.0, 0.0, 12.0)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What an ideal network gives, as main.py writes it, and the truth."""
    place = tmp_path_factory.mktemp("snemi3d")
    write_snemi3d(place / "data", (8, 96, 96))
    labels = open_volume(place / "data/seg/test-labels.h5", voxel_size=VOXEL_SIZE).read()
    ideal = (affinities(widen_boundaries(labels, 1)) * 255).astype(np.uint8)
    with h5py.File(place / "data/seg/test-labels.h5", "a") as file:
        file["main"].attrs["offset"] = OFFSET
    with h5py.File(place / "result_xy.h5", "w") as file:
        file.create_dataset("vol0", data=ideal).attrs.update({"resolution": VOXEL_SIZE, "offset": OFFSET})
    return place


def run(place, *arguments, out="segmentation.zarr"):
    return run_script(SCRIPT, "result_xy.h5", out, *arguments, cwd=place)


@pytest.mark.parametrize(("options", "arguments"), [
    ({}, ()), ({"merge_function_name": "aff85_his256", "fragments": "3d", "aff_threshold": (0.1, 0.9)},
              ("--merge-function", "aff85_his256", "--fragments", "3d", "--aff-threshold", 0.1, 0.9)),
], ids=["2d", "3d"])  # fmt: skip
def test_segmentations_are_those_of_waterz(place, options, arguments, tmp_path):
    out = tmp_path / "out.zarr"
    ended = run(place, "--thresholds", 0.6, 0.1, *arguments, out=out)
    assert (ended.returncode, ended.stderr) == (0, "")
    expected = segment(open_volume(place / "result_xy.h5").read(), [0.6, 0.1], **options)
    for name, wanted in zip(("segmentation_0.6", "segmentation_0.1"), expected, strict=True):
        made = open_volume(out, name)
        assert (made.voxel_size, made.offset) == (VOXEL_SIZE, OFFSET)
        np.testing.assert_array_equal(made.read(), wanted)


def test_scores_of_an_ideal_network_and_of_a_poor_one(place, tmp_path):
    given = ("--labels", "data/seg/test-labels.h5", "--thresholds", 0.0001, 0.5, "--scores", tmp_path / "scores")
    ended = run(place, *given, out=tmp_path / "out.zarr")
    assert ended.returncode == 0, ended.stderr
    assert f"best by snemi3d_rand_error: {tmp_path}/out.zarr:segmentation_0.5" in ended.stdout
    rows = list(csv.DictReader((tmp_path / "scores.csv").open()))
    fragments, united = (float(row["snemi3d_rand_error"]) for row in rows)
    assert united < 0.1 < 0.5 < fragments
    assert float(rows[1]["adapted_rand_error"]) == pytest.approx(united, abs=0.01)
    made = json.loads((tmp_path / "scores.json").read_text())["provenance"]
    assert made["parameters"]["merge_function"] == "aff50_his256"

    bordered = run(place, *given, "--gt-border", 2, "--overwrite", out=tmp_path / "out.zarr")
    assert bordered.returncode == 0, bordered.stderr
    assert float(list(csv.DictReader((tmp_path / "scores.csv").open()))[1]["snemi3d_rand_error"]) < united


def test_what_is_there_stays(place, tmp_path):
    out = tmp_path / "out.zarr"
    assert run(place, "--thresholds", 0.5, out=out).returncode == 0
    again = run(place, "--thresholds", 0.5, out=out)
    message = f"error: {out}:segmentation_0.5: is there. Pass --overwrite, or name another place\n"
    assert (again.returncode, again.stderr) == (2, message)
    assert run(place, "--thresholds", 0.5, "--overwrite", out=out).returncode == 0


@pytest.mark.parametrize(("arguments", "message"), [
    (("--merge-function", "aff51_his256"), "merge function 'aff51_his256': is not shipped compiled"),
    (("--thresholds", 1.5), "--thresholds 1.5: is not above 0 and at most 1"),
    (("--thresholds", 0.5, 0.5), "--thresholds: has one twice"),
    (("--gt-border", 2), "--gt-border: is for --labels"),
    (("--dataset", "vol1"), "vol1"),
    (("--labels", "none.h5"), "none.h5: no such file"),
])
def test_one_line(place, arguments, message, tmp_path):
    refused(run(place, *arguments, out=tmp_path / "out.zarr"), message, tmp_path)


def of(path, values, **attributes):
    with h5py.File(path, "w") as file:
        file.create_dataset("vol0", data=values).attrs.update({"resolution": VOXEL_SIZE, "offset": OFFSET, **attributes})
    return open_volume(path, "vol0")


def noted(*targets, planes):
    return {"configuration": json.dumps({"MODEL": {"TARGET_OPT": targets, "OUT_PLANES": planes}, "DATASET": {"DO_2D": False}})}


@pytest.mark.parametrize(("planes", "said", "chosen", "found"), [
    (3, {}, None, [0, 1, 2]), (4, noted("2", "0", planes=4), None, [0, 1, 2]),
    (5, noted("0", "4", "2", planes=5), None, [2, 3, 4]),
    (6, noted("2-3-9-9", "2", planes=6), None, [3, 4, 5]), (6, {}, [3, 4, 5], [3, 4, 5]), (4, {}, None, None),
    (6, noted("2-3-9-9", "2-1-5-5", planes=6), None, None), (5, noted("2", "0", planes=4), None, None), (2, {}, None, None),
    (3, {}, [1, 2, 3], None), (4, {"configuration": "[]"}, None, None),
])  # fmt: skip
def test_which_channels_are_affinities(tmp_path, planes, said, chosen, found):
    affs = of(tmp_path / "a.h5", np.zeros((planes, 2, 4, 4), np.uint8), **said)
    if found is not None:
        assert segment_command.direct_channels(affs, chosen) == found
        return
    with pytest.raises(UserError, match="channels"):
        segment_command.direct_channels(affs, chosen)


@pytest.mark.parametrize(("attributes", "shape", "begin"), [
    ({}, (4, 10, 12), (1, 2, 3)), ({}, (2, 6, 8), None), ({"offset": np.add(OFFSET, VOXEL_SIZE)}, (4, 10, 12), (0, 1, 2)),
    ({"offset": np.add(OFFSET, np.multiply(VOXEL_SIZE, 2))}, (4, 10, 12), None),
    ({"resolution": np.multiply(VOXEL_SIZE, 2)}, (4, 10, 12), None),
])  # fmt: skip
def test_labels_are_compared_where_they_are(tmp_path, attributes, shape, begin):
    offset = [o + b * v for o, b, v in zip(OFFSET, (1, 2, 3), VOXEL_SIZE, strict=True)]
    affs = of(tmp_path / "a.h5", np.zeros((3, 2, 6, 8), np.uint8), offset=offset)
    labels = of(tmp_path / "l.h5", np.zeros(shape, np.uint8), **attributes)
    if begin is None:
        with pytest.raises(UserError):
            segment_command.part_of(labels, affs)
        return
    part = segment_command.part_of(labels, affs)
    assert (part.begin, part.shape) == (begin, affs.shape)


def test_labels_of_another_shape(place, tmp_path):
    np.save(tmp_path / "other.npy", np.ones((8, 96, 95), np.uint16))
    ended = run(place, "--labels", tmp_path / "other.npy", out=tmp_path / "out.zarr")
    refused(ended, "other.npy: has 8 x 96 x 95 voxels", tmp_path)


def refused(ended, message, tmp_path):
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1), ended.stderr
    assert message in ended.stderr
    assert not (tmp_path / "out.zarr").exists()
