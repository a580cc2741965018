"""Packing keeps what is there, and says what is not; checking finds what the challenge would not take, or take otherwise."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import zarr

from lsd_experiments.arrays.creating import write_metadata
from lsd_experiments.arrays.n5 import store
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap import aligning
from lsd_experiments.families.cellmap.aligning import best_level, load_aligned
from lsd_experiments.families.cellmap.manifest import Target
from lsd_experiments.families.cellmap.packing import pack, packable, processed_levels
from lsd_experiments.families.cellmap.sources import Level
from lsd_experiments.families.cellmap.submissions import open_submission
from lsd_experiments.families.cellmap.validating import validate
from tests.cellmap.small import BEGIN, VOXEL, boxes, put, target


def processed(root, crop="crop7", **classes):
    """``made.zarr/<crop>/<class>/s0`` as csc process writes it."""
    group = zarr.open_group(str(root / "made.zarr"), "a")
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    for label, (values, voxel, begin) in classes.items():
        group.create_dataset(f"{crop}/{label}/s0", data=values, chunks=8)
        transforms = [{"type": "scale", "scale": voxel}, {"type": "translation", "translation": begin}]
        group[f"{crop}/{label}"].attrs["multiscales"] = [
            {"version": "0.4", "axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": transforms}]}]
    return f"{root}/{{dataset}}.zarr/{{crop}}"


def test_300_touching_instances_stay_300(tmp_path):
    ids = (np.arange(10 * 14 * 16).reshape(10, 14, 16) * 300 // (10 * 14 * 16) + 1).astype(np.float32)  # process writes floats
    where = processed(tmp_path, mito=(ids, VOXEL, BEGIN))
    pack(where, tmp_path / "submission.zarr", [target("mito", ids.shape)])
    packed = open_submission(tmp_path / "submission.zip").levels("crop7", "mito")[0]
    assert packed.dtype == np.uint16
    assert np.array_equal(packed[:], ids)
    assert (packed.voxel_size, packed.begin) == (VOXEL, BEGIN)


@pytest.mark.parametrize(("attrs", "message"), [
    ({"provenance": {}}, r"made.zarr:crop7/er is not finished. Run csc process again"),
    ({"values": "probabilities"}, "holds probabilities, as csc predict makes them. Run csc process"),
    ({"provenance": {}, "finished": "2026-07-01"}, None), ({"values": [1, 2]}, None)])
def test_what_is_not_finished_or_not_processed_is_not_packed(tmp_path, attrs, message):
    put(tmp_path / "made.zarr", er=(boxes() > 0).astype(np.float32))
    zarr.open_group(str(tmp_path / "made.zarr"), "a")["crop7/er"].attrs.update(attrs)
    arguments = f"{tmp_path}/{{dataset}}.zarr/{{crop}}", tmp_path / "submission.zarr", [target("er")]
    if message is None:
        assert pack(*arguments).packed == ["crop7/er"]
        return
    with pytest.raises(UserError, match=message):
        pack(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["made.zarr"]


def test_processed_at_other_voxels_and_places_is_brought_to_the_crop(tmp_path):
    fine = boxes().repeat(2, 0).repeat(2, 1).repeat(2, 2)[:, :, 4:]  # begins 2 voxels of the crop later
    half = tuple(n / 2 for n in VOXEL)
    where = processed(tmp_path, mito=(fine, half, (BEGIN[0], BEGIN[1], BEGIN[2] + 2 * VOXEL[2])),
                      er=((fine > 0).astype(np.float32), half, (BEGIN[0], BEGIN[1], BEGIN[2] + 2 * VOXEL[2])))
    pack(where, tmp_path / "submission.zarr", [target("mito"), target("er")])
    expected = boxes()
    expected[:, :, :2] = 0
    packed = open_submission(tmp_path / "submission.zarr")
    assert np.array_equal(packed.levels("crop7", "mito")[0][:], expected)
    assert np.array_equal(packed.levels("crop7", "er")[0][:], expected > 0)
    assert validate(tmp_path / "submission.zip", [target("mito"), target("er")]) == []


def test_a_crop_on_the_grid_of_fractional_voxels_is_not_moved(tmp_path):
    """524 nm are 100 voxels of 5.24 nm, and 99 of a float quotient: the published program packs it a voxel too early."""
    place = Target("crop7", "made", "mito", (5.24, 8.0, 8.0), (524.0, 0.0, 16.0), boxes().shape)
    where = processed(tmp_path, mito=(boxes(), place.voxel_size, place.translation))
    levels = processed_levels(where, place)
    assert np.array_equal(load_aligned(levels, place), boxes())
    assert np.array_equal(load_aligned(levels, place, parity=True)[:-1], boxes()[1:])


def test_levels_whose_translations_are_of_centres_begin_together(tmp_path):
    """Voxels of 4 and 32 nm that begin at 0: the second's translation is 14, and it is the one that fits 20 nm best."""
    group = zarr.open_group(str(tmp_path / "made.zarr"), "a")
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    levels = []
    for number, (size, begin) in enumerate(((4, 0), (32, 14))):
        group.create_dataset(f"crop7/mito/s{number}", data=boxes((48, 48, 48) if not number else (6, 6, 6)) * 0 + number)
        transforms = [{"type": "scale", "scale": [size] * 3}, {"type": "translation", "translation": [begin] * 3}]
        levels.append({"path": f"s{number}", "coordinateTransformations": transforms})
    group["crop7/mito"].attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]
    place = Target("crop7", "made", "mito", (20.0, 20.0, 20.0), (0.0, 0.0, 0.0), (9, 9, 9))
    found = processed_levels(f"{tmp_path}/{{dataset}}.zarr/{{crop}}", place)
    assert best_level(found, place).name.endswith("s1")
    assert load_aligned(found, place).all()
    uncorrected = replace(found[1], begin=found[1].translation)
    assert not load_aligned([uncorrected], place)[0].any()  # a voxel later


@pytest.mark.parametrize("scale", [(0.5, 0.5, 0.5), (2, 1.3, 0.7), (1, 1, 3)])
def test_resampling_by_parts_gives_the_same(monkeypatch, scale):
    labels, raw = boxes(), np.random.default_rng(0).random((12, 14, 16))
    whole = aligning.nearest(labels, scale), aligning.linear(raw, scale)
    monkeypatch.setattr(aligning, "SLAB", 3 * 14 * 16)
    assert np.array_equal(aligning.nearest(labels, scale), whole[0])
    np.testing.assert_allclose(aligning.linear(raw, scale), whole[1], atol=1e-9)
    assert whole[0].shape == whole[1].shape == tuple(round(n * s) for n, s in zip(labels.shape, scale, strict=True))


def test_without_a_voxel_size_what_is_large_is_resampled(monkeypatch):
    """As the challenge does; what is smaller is centred."""
    fine = boxes().repeat(2, 0).repeat(3, 1).repeat(2, 2)
    levels = [Level("x", fine, None, None, None, "array")]
    centred = load_aligned(levels, target("mito"))
    assert np.array_equal(centred, fine[6:18, 14:28, 8:24])
    monkeypatch.setattr(aligning, "LARGE", fine.size - 1)
    assert np.array_equal(load_aligned(levels, target("mito")), boxes())
    assert np.array_equal(load_aligned([Level("x", fine, None, None, None, "array")], target("er")), boxes() > 0)
    flat = fine[:10]  # fewer along z: not of the same place
    assert np.array_equal(load_aligned([Level("x", flat, None, None, None, "array")], target("mito"))[1:11], flat[:, 14:28, 8:24])


def test_processed_in_n5(tmp_path):
    """Whose attributes list x, y, z."""
    (tmp_path / "made.n5").mkdir()
    (tmp_path / "made.n5/attributes.json").write_text('{"n5": "2.0.0"}')
    path = tmp_path / "made.n5/crop7/mito/s0"
    path.parent.mkdir(parents=True)
    attrs = {"resolution": list(VOXEL[::-1]), "offset": [BEGIN[2], BEGIN[1], BEGIN[0] - 2 * VOXEL[0]]}
    write_metadata(store(path), boxes().shape, (8, 8, 8), "uint16", attrs)[:] = boxes()
    levels = processed_levels(f"{tmp_path}/{{dataset}}.n5/{{crop}}", target("mito"))
    assert np.array_equal(load_aligned(levels, target("mito"))[:-2], boxes()[2:])


def test_missing_and_extra_are_named_and_equal_inputs_give_equal_bytes(tmp_path):
    where = processed(tmp_path, mito=(boxes(), VOXEL, BEGIN), golgi=(boxes(), VOXEL, BEGIN))
    targets = [target("mito"), target("er"), target("mito", crop="crop8")]
    told = pack(where, tmp_path / "submission.zarr", targets)
    assert (told.packed, told.missing, told.extra) == (["crop7/mito"], ["crop7/er", "crop8/mito"], ["crop7/golgi"])
    again = pack(where, tmp_path / "again.zarr", targets)
    assert again == told
    assert (tmp_path / "submission.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "again.zip") as archive:
        names = archive.namelist()
    assert names == sorted(names)
    assert {".zgroup", "crop7/.zgroup", "crop7/mito/.zarray", "crop8/.zgroup"} <= {*names}
    with pytest.raises(UserError, match="Pass --overwrite"):
        pack(where, tmp_path / "again.zarr", targets)
    pack(where, tmp_path / "again.zarr", targets, overwrite=True)
    assert not list(tmp_path.glob(".*"))


def test_channels_are_refused(tmp_path):
    where = processed(tmp_path, mito=(np.stack([boxes()] * 2), (1.0, *VOXEL), (0.0, *BEGIN)))
    with pytest.raises(UserError, match="4 axes"):
        pack(where, tmp_path / "submission.zarr", [target("mito")])
    assert [path.name for path in tmp_path.iterdir()] == ["made.zarr"]


def test_nothing_to_pack_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="none of the 1 classes"):
        pack(f"{tmp_path}/{{dataset}}.zarr/{{crop}}", tmp_path / "submission.zarr", [target("mito")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("values", "message"), [
    (np.array([[[0.5]]]), "no whole numbers"), (np.array([[[np.nan]]]), "no whole numbers"),
    (np.array([[[-1]]]), "negative id -1"),
    (np.array([[[2.0**24]]], np.float32), "not exact in float32"),
])
def test_ids_that_cannot_be_kept(values, message):
    with pytest.raises(UserError, match=message):
        packable(values, target("mito"))


@pytest.mark.parametrize(("highest", "dtype"), [(255, "uint8"), (256, "uint16"), (65536, "uint32"), (2**32, "uint64")])
def test_the_smallest_type_that_holds_all_ids(highest, dtype):
    packed = packable(np.array([[[0, highest]]], np.uint64), target("mito"))
    assert packed.dtype == dtype
    assert packed.max() == highest
    assert packable(np.array([[[-2.5, 0.1]]]), target("er")).tolist() == [[[0, 1]]]  # not of instances: above 0


def zipped(path, *members):
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members:
            archive.writestr(member, data)
    return path


def test_a_zip_that_leads_out_is_found_and_never_unpacked(tmp_path):
    link = zipfile.ZipInfo("crop7/link")
    link.external_attr = 0o120777 << 16
    (tmp_path / "in").mkdir()
    path = zipped(tmp_path / "in/s.zip", (".zgroup", '{"zarr_format": 2}'), ("../outside/.zgroup", "{}"), ("/absolute", ""),
                  (link, "/etc/passwd"), ("crop7/.zgroup", '{"zarr_format": 2}'))
    findings = validate(path, [target("mito")])
    assert [line for line in findings if "leads out" in line and "../outside" in line]
    assert [line for line in findings if "leads out" in line and "/absolute" in line]
    assert [line for line in findings if "crop7/link is a link" in line]
    assert {entry.name for entry in tmp_path.rglob("*")} == {"in", "s.zip"}


def test_what_is_no_submission(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    assert "no zip file" in validate(tmp_path / "text.zip", [])[0]
    assert "has no crops" in validate(zipped(tmp_path / "empty.zip", ("readme", "")), [])[0]
    with pytest.raises(UserError, match="no such file"):
        validate(tmp_path / "none.zip", [])


def test_a_folder_around_it_and_a_missing_zgroup_are_said_and_read_all_the_same(tmp_path):
    root = put(tmp_path / "inner/submission.zarr", mito=boxes())
    (root / "crop7/.zgroup").unlink()
    findings = validate(tmp_path / "inner", [target("mito")])
    assert ["not at the top" in line for line in findings] + ["crop7 has no .zgroup" in line for line in findings] == [
        True, False, False, True]
    assert np.array_equal(open_submission(tmp_path / "inner").levels("crop7", "mito")[0][:], boxes())


@pytest.mark.parametrize(("attrs", "finding"), [
    ({"voxel_size": [4, 8, 12], "translation": BEGIN}, "is scored at"),
    ({"resolution": VOXEL, "offset": [BEGIN[0] + 4, *BEGIN[1:]]}, "moved by (1, 0, 0) voxels"),
    ({"voxel_size": VOXEL}, "no attribute translation"), ({"translation": BEGIN}, "no attribute voxel_size"),
    ({"voxel_size": [1, 2]}, "must be three positive numbers"), ({"scale": VOXEL, "translation": BEGIN}, None),
])
def test_places(tmp_path, attrs, finding):
    root = put(tmp_path / "s.zarr", mito=boxes())
    (root / "crop7/mito/.zattrs").write_text(json.dumps(attrs))
    findings = validate(root, [target("mito")])
    assert findings == [] if finding is None else any(finding in line for line in findings), findings
