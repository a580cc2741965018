"""What the challenge takes: made of a segmentation, and checked. Regions are the challenge's, or small ones like them."""

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.xpress.regions import XPRESS_ROIS
from lsd_experiments.families.xpress.submission import check_submission, make_submission, zip_submission
from lsd_experiments.families.xpress.submission.making import shape_of
from lsd_experiments.geometry import Box
from tests.scripts import run_script

SCRIPT = Path(__file__).parents[2] / "03_predict" / "submission.py"
OFFSET, SHAPE = (396.0, 297.0, 198.0), (990.0, 1188.0, 693.0)  # of the region, nm: 10, 12, 7 voxels of 99 nm
ROI = (OFFSET, SHAPE)
REGION = ["--roi-offset", *map(str, OFFSET), "--roi-shape", *map(str, SHAPE)]


def segmentation(directory, voxel_size=33, offset=(330, 198, 132), shape=(36, 42, 30), dtype="uint64", channels=None, **more):
    """More than the region, unless told otherwise."""
    volume = create_volume(directory / "seg.zarr", "volumes/segmentation", shape, (voxel_size,) * 3, offset, dtype,
                           chunks=(16,) * 3, channels=channels, **more)
    pairs = np.random.default_rng(0).integers(0, 100, (*([channels] if channels else []), *shape[:2], shape[2] // 2 + 1))
    values = pairs.repeat(2, axis=-1)[..., : shape[2]].astype(dtype)  # ids of two voxels each: of one, they would be an image
    volume.write(volume.box, values)
    return open_volume(directory / "seg.zarr", "volumes/segmentation"), values


def run(*arguments, cwd=None):
    return run_script(SCRIPT, *arguments, cwd=cwd)


@pytest.fixture
def submission(tmp_path):
    """One without faults."""
    make_submission(segmentation(tmp_path)[0], tmp_path / "submission.h5", ROI)
    return tmp_path / "submission.h5"


def test_every_third_voxel_of_the_region(tmp_path, submission):
    values = open_volume(tmp_path / "seg.zarr", "volumes/segmentation").read()
    with h5py.File(submission) as file:
        assert list(file) == ["submission"]
        data = file["submission"]
        assert (data.dtype, data.shape, data.compression) == (np.uint64, (10, 12, 7), "gzip")
        assert data.attrs["resolution"].tolist() == [99, 99, 99]
        assert data.attrs["offset"].tolist() == [396, 297, 198]
        np.testing.assert_array_equal(data, values[2:32:3, 3:39:3, 2:23:3])
        assert not np.array_equal(data, values[3:33:3, 3:39:3, 2:23:3])  # negative control
    assert {path.name for path in tmp_path.iterdir()} == {"seg.zarr", "submission.h5"}
    assert check_submission(submission, ROI) == []
    volume = open_volume(submission, "submission")
    assert (volume.voxel_size, volume.offset) == ((99, 99, 99), OFFSET)
    assert volume.attrs["provenance"]["stage"] == "submission"


def test_an_image_is_refused(tmp_path):
    raw = create_volume(tmp_path / "raw.zarr", "raw", (36, 42, 30), (33,) * 3, (330, 198, 132), "uint8")
    raw.write(raw.box, np.random.default_rng(0).integers(0, 256, raw.shape, np.uint8))
    with pytest.raises(UserError, match=r"raw\.zarr:raw: most of its voxels differ from the next one"):
        make_submission(raw, tmp_path / "submission.h5", ROI)
    assert not (tmp_path / "submission.h5").exists()


def test_as_it_is_if_voxels_are_of_99_nm(tmp_path):
    """Also if it comes from elsewhere, as long as it is not what a stage has not finished."""
    attrs = {"provenance": {"key": "k", "stage": "convert"}}
    volume, values = segmentation(tmp_path, 99, (297, 297, 99), (12, 12, 9), "uint16", attrs=attrs)
    make_submission(volume, tmp_path / "submission.h5", ROI)
    with h5py.File(tmp_path / "submission.h5") as file:
        np.testing.assert_array_equal(file["submission"], values[1:11, :, 1:8])
        assert file["submission"].dtype == np.uint64


def test_the_regions_of_the_challenge(tmp_path):
    """That of validation has 233 voxels along each axis, that of the test 334."""
    assert [shape_of(XPRESS_ROIS[mode]) for mode in ("validation", "test")] == [(233,) * 3, (334,) * 3]
    volume = create_volume(tmp_path / "seg.zarr", "s", (699,) * 3, (33,) * 3, (8316,) * 3, "uint64")
    volume.write(Box((0, 0, 0), (6, 1, 1)), np.arange(6, dtype=np.uint64).reshape(6, 1, 1))  # zeros elsewhere, without files
    make_submission(volume, tmp_path / "submission.h5", XPRESS_ROIS["validation"])
    assert "it holds one segment only" in check_submission(tmp_path / "submission.h5", XPRESS_ROIS["validation"])
    assert check_submission(tmp_path / "submission.h5")[:1] == ["its shape is (233, 233, 233) voxels, not (334, 334, 334)"]
    with h5py.File(tmp_path / "submission.h5") as file:
        assert file["submission"][:2, 0, 0].tolist() == [0, 3]


@pytest.mark.parametrize(("change", "says"), [
    ({"offset": (429, 297, 198)}, r"covers \(429, 297, 198\) to .*region, z from 396 to 429 nm is missing"),
    ({"shape": (36, 42, 20)}, "region, x from 792 to 891 nm is missing"),
    ({"offset": (330, 198, 9999), "shape": (30, 42, 30)}, r"region, z from 1320 to 1386, x from 198 to 891 nm is missing"),
    ({"offset": (330.5, 198, 132)}, "is not on the voxel grid"),
    ({"voxel_size": 100}, r"voxels of \(100, 100, 100\) nm; a submission is made of ones of 33 or 99 nm"),
    ({"voxel_size": 49.5}, "ones of 33 or 99 nm"),
    ({"dtype": "float32"}, "is of type float32; labels are integers"),
    ({"channels": 3}, "has 3 channels"),
    ({"attrs": {"provenance": {"key": "k", "stage": "extract_segmentation"}}}, "is not finished. Run extract_segmentation first"),
])
def test_a_segmentation_that_does_not_fit_is_refused(tmp_path, change, says):
    volume, _ = segmentation(tmp_path, **change)
    with pytest.raises(UserError, match=says):
        make_submission(volume, tmp_path / "submission.h5", ROI)
    assert {path.name for path in tmp_path.iterdir()} == {"seg.zarr"}


def test_negative_ids_are_refused_and_nothing_stays(tmp_path):
    volume, _ = segmentation(tmp_path, dtype="int32")
    make_submission(volume, tmp_path / "submission.h5", ROI)  # negative control
    (tmp_path / "submission.h5").unlink()
    open_volume(tmp_path / "seg.zarr", "volumes/segmentation", writable=True).array[29, 36, 20] = -7
    with pytest.raises(UserError, match="holds the id -7"):
        make_submission(volume, tmp_path / "submission.h5", ROI)
    assert {path.name for path in tmp_path.iterdir()} == {"seg.zarr"}


def test_what_is_there_is_replaced_by_wish_only_and_as_a_whole(tmp_path, submission):
    volume, _ = segmentation(tmp_path / "other")
    with h5py.File(submission, "r+") as file:
        file["more"] = [1]
    with pytest.raises(UserError, match="exists already"):
        make_submission(volume, submission, ROI)
    assert check_submission(submission, ROI) == ["it holds more than 'submission': more"]
    make_submission(volume, submission, ROI, overwrite=True)
    assert check_submission(submission, ROI) == []
    with pytest.raises(UserError, match="a submission is an HDF5 file"):
        make_submission(volume, tmp_path / "submission.zarr", ROI)


def change(submission, what):
    """Spoil one thing of a submission; its path."""
    with h5py.File(submission, "r+") as file:
        data, values, attrs = file["submission"], file["submission"][...], dict(file["submission"].attrs)
        if what.startswith("values "):
            data[...] = {"zero": 0, "one": np.where(values > 50, 5, 0)}[what.removeprefix("values ")]
        elif what in ("float", "signed", "flat", "short"):
            del file["submission"]
            file["submission"] = {"float": values.astype(float), "signed": values.astype(np.int64) - 1, "flat": values[0],
                                  "short": values[1:]}[what]
            file["submission"].attrs.update(attrs)
        elif what == "name":
            file.move("submission", "segmentation")
        elif what == "group":
            file.move("submission", "group/data")
            file.move("group", "submission")
        elif what == "soft link":
            file.move("submission", "other")
            file["submission"] = h5py.SoftLink("/other")
        elif what == "dangling link":
            file.move("submission", "other")
            file["submission"] = h5py.ExternalLink("nowhere.h5", "/other")
        elif what == "external":
            del file["submission"]
            elsewhere = str(submission.with_name("raw.bin"))
            file.create_dataset("submission", values.shape, np.uint64, external=[(elsewhere, 0, values.nbytes)])
        else:
            key, _, value = what.partition(" ")
            data.attrs.pop(key)
            if value:
                data.attrs[key] = [float(number) for number in value.split()]
    return submission


@pytest.mark.parametrize(("what", "says"), [
    ("values zero", "it is empty: all voxels are 0"),
    ("values one", "it holds one segment only"),
    ("float", "its voxels are of type float64, not uint64"),
    ("signed", "it holds the negative id -1"),
    ("flat", "its shape is (12, 7) voxels, not (10, 12, 7)"),
    ("short", "its shape is (9, 12, 7) voxels, not (10, 12, 7)"),
    ("name", "it has no dataset 'submission', only segmentation"),
    ("group", "'submission' is a group, not a dataset"),
    ("soft link", "'submission' is a link to another place, which is not sent along"),
    ("dangling link", "'submission' is a link to another place, which is not sent along"),
    ("external", "its voxels are in another file, which is not sent along"),
    ("resolution", "the attribute 'resolution' is missing: it must be (99, 99, 99) nm"),
    ("resolution 33 33 33", "the attribute 'resolution' is (33, 33, 33): it must be (99, 99, 99) nm"),
    ("offset 198 297 396", "the attribute 'offset' is (198, 297, 396): it must be (396, 297, 198) nm"),
    ("offset 1 2", "the attribute 'offset' is array([1., 2.]): it must be (396, 297, 198) nm"),
])
def test_each_fault_is_named(submission, what, says):
    assert check_submission(submission, ROI) == []
    assert says in check_submission(change(submission, what), ROI)


def test_all_faults_are_named_at_once(submission):
    change(change(change(submission, "values zero"), "resolution"), "offset 0 0 0")
    moved = submission.rename(submission.with_name("mine.h5"))
    faults = check_submission(moved, ROI)
    assert faults[0] == "the file is named mine.h5, not submission.h5"
    assert len(faults) == 4


def test_files_that_are_none(tmp_path):
    (tmp_path / "submission.h5").write_text("no HDF5")
    (fault,) = check_submission(tmp_path / "submission.h5")
    assert fault.startswith("it cannot be read as HDF5")
    with pytest.raises(UserError, match="no such file"):
        check_submission(tmp_path / "none.h5")


def test_a_damaged_file_is_named_as_such(submission):
    with h5py.File(submission) as file:
        chunk = file["submission"].id.get_chunk_info(0)
    data = bytearray(submission.read_bytes())
    data[chunk.byte_offset:chunk.byte_offset + chunk.size] = bytes(chunk.size)
    submission.write_bytes(data)
    (fault,) = check_submission(submission, ROI)
    assert fault.startswith("its voxels cannot be read")


def test_the_zip_file_holds_nothing_else(submission):
    path = zip_submission(submission)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["submission.h5"]
        assert archive.read("submission.h5") == submission.read_bytes()
    assert not list(submission.parent.glob(".*"))


def test_the_commands(tmp_path):
    segmentation(tmp_path)
    done = run("make", "seg.zarr", "volumes/segmentation", *REGION, "--zip", cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, ["submission.h5", "Pass", "submission.zip"]), done.stderr
    done = run("check", "submission.h5", *REGION, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Pass\n", "")
    done = run("check", "submission.h5", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2  # shape and offset
    for arguments, says in ((("make", "seg.zarr", "volumes/segmentation", *REGION), "exists already"),
                            (("make", "seg.zarr", "volumes/segmentation", "mine.h5", *REGION), "the name submission.h5 only"),
                            (("make", "seg.zarr", "volumes/segmentation", "--overwrite"), "is missing"),
                            (("check", "none.h5"), "no such file"),
                            (("check", "submission.h5", "--roi-shape", 99, 99, 99), "needs both --roi-offset and --roi-shape"),
                            (("check", "submission.h5", *REGION[:-1], 9), "not of whole voxels of 99 nm")):
        done = run(*arguments, cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert says in done.stderr


def test_a_zip_file_of_another_submission_is_named(tmp_path):
    """What is uploaded is the zip file: after a submission with faults, or without --zip, it is that of before."""
    segmentation(tmp_path)
    (tmp_path / "submission.zip").write_bytes(b"older")
    create_volume(tmp_path / "seg.zarr", "empty", (36, 42, 30), (33,) * 3, (330, 198, 132), "uint64")
    for arguments, status in ((("empty", "--zip"), 1), (("volumes/segmentation",), 0)):
        done = run("make", "seg.zarr", *arguments, *REGION, "--overwrite", cwd=tmp_path)
        assert done.returncode == status
        assert done.stderr.strip() == \
            "warning: submission.zip is of a submission before this one. Remove it, or make it anew with --zip"
    done = run("make", "seg.zarr", "volumes/segmentation", *REGION, "--overwrite", "--zip", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert zipfile.is_zipfile(tmp_path / "submission.zip")


def test_the_evaluation_checks_as_the_challenge_does(submission):
    """``eval.py submission.h5 --check_submission 1``: of the test, unless another region is named."""
    script = SCRIPT.with_name("evaluate_skeletons.py")
    command = [script, submission, "--check_submission", "1"]
    done = run_script(*command, *REGION)
    assert (done.returncode, done.stdout) == (0, "Pass\n"), done.stderr
    done = run_script(*command)
    assert done.returncode == 1
    assert done.stdout.startswith("its shape is (10, 12, 7) voxels, not (334, 334, 334)")


def test_an_empty_submission_is_not_passed(tmp_path):
    create_volume(tmp_path / "seg.zarr", "s", (36, 42, 30), (33,) * 3, (330, 198, 132), "uint64")
    done = run("make", tmp_path / "seg.zarr", "s", tmp_path / "submission.h5", *REGION, "--zip")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == ["it is empty: all voxels are 0"]
    assert not (tmp_path / "submission.zip").exists()
