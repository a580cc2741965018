"""Files of CREMI's format 0.2, submissions, and the command that scores."""

import json
import re
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.cremi import evaluate_command, submission_command
from lsd_experiments.families.cremi.annotations import Annotations, read_annotations
from lsd_experiments.families.cremi.files import DATASETS, CremiFile, in_memory, read_cremi, write_cremi
from lsd_experiments.families.cremi.ids import BACKGROUND, UNKNOWN
from lsd_experiments.families.cremi.submission import PADDED_OFFSET, check_submission, make_submission
from lsd_experiments.geometry import Box
from tests.published import PUBLISHED, needs_published

SAMPLE = PUBLISHED / "cremi_metrics" / "sample_cremi_0.2.hdf"
OFFSET, VOXEL_SIZE = (80.0, 40.0, 20.0), (40.0, 4.0, 4.0)
SHAPE = (5, 20, 30)


def described(path):
    """All objects of an HDF5 file with shape, type, attributes and content."""
    found = {}

    def note(name, node):
        attrs = {key: np.asarray(value).tolist() for key, value in node.attrs.items()}
        is_data = isinstance(node, h5py.Dataset)
        found[name] = (attrs, (node.shape, str(node.dtype), node.compression is not None, node[()].tolist()) if is_data else None)

    with h5py.File(path, locking=False) as file:
        file.visititems(note)
        found["/"] = (dict(file.attrs.items()), None)
    return found


@pytest.fixture
def annotations():
    return Annotations((3, 5, 9), ("presynaptic_site", "postsynaptic_site", "postsynaptic_site"),
                       np.array([[20.0, 8, 12], [60, 40, 80], [100, 8, 12]]), {5: "unsure – maybe"}, ((3, 5), (3, 9)), OFFSET)


@needs_published
def test_the_published_file_is_read():
    found = read_cremi(SAMPLE)
    contents = json.loads(SAMPLE.with_name("sample_cremi_0.2.contents.json").read_text())
    assert {*found.volumes} == {*DATASETS}
    for name, volume in found.volumes.items():
        want = contents[DATASETS[name]]
        assert (list(volume.shape), str(volume.dtype), list(volume.voxel_size)) == (
            want["shape"], want["dtype"], want["attrs"]["resolution"])
        assert list(volume.offset) == want["attrs"].get("offset", [0, 0, 0])
        assert found.comments.get(name, "") == want["attrs"]["comment"]
    assert list(found.annotations.offset) == contents["annotations"]["attrs"]["offset"]
    assert (found.annotations.partners, found.annotations.comments) == (((1, 2), (3, 4), (5, 6), (7, 8)), {2: "unsure"})
    assert found.annotations.pairs()[0, 0].tolist() == pytest.approx([733.19263422, 365.96369091, 375.56068278])


@needs_published
def test_it_is_input_of_training():
    """Its volumes open by name like all others, and lie where they say."""
    raw, clefts = (open_volume(SAMPLE, DATASETS[name]) for name in ("raw", "clefts"))
    with h5py.File(SAMPLE, locking=False) as file:
        np.testing.assert_array_equal(raw.read(Box((1, 10, 10), (5, 70, 70))), file["volumes/raw"][1:5, 10:70, 10:70])
        np.testing.assert_array_equal(clefts.read(), file["volumes/labels/clefts"][()])
    assert (clefts.offset, clefts.dtype) == ((40, 40, 40), np.uint64)


@needs_published
def test_written_again_it_is_the_same_file(tmp_path):
    """Object by object: types, compression, attributes, values."""
    write_cremi(tmp_path / "copy.hdf", read_cremi(SAMPLE))
    assert described(tmp_path / "copy.hdf") == described(SAMPLE)
    assert [path.name for path in tmp_path.iterdir()] == ["copy.hdf"]


def test_written_and_read(tmp_path, annotations):
    clefts = np.full(SHAPE, BACKGROUND, np.uint64)
    clefts[2, 3, 4:9], clefts[4] = 0, UNKNOWN
    path = tmp_path / "made.hdf"
    write_cremi(path, CremiFile(clefts=in_memory(clefts, VOXEL_SIZE, OFFSET), annotations=annotations, comments={"clefts": "c"}))
    found = read_cremi(path)
    np.testing.assert_array_equal(found.clefts.read(), clefts)
    assert (found.clefts.offset, found.comments, {*found.volumes}) == (OFFSET, {"clefts": "c"}, {"clefts"})
    np.testing.assert_array_equal(found.annotations.locations, annotations.locations)
    assert (found.annotations.ids, found.annotations.comments) == (annotations.ids, annotations.comments)
    with pytest.raises(UserError, match="exists already"):
        write_cremi(path, CremiFile())
    write_cremi(path, CremiFile(), overwrite=True)
    assert not read_cremi(path).volumes


@pytest.mark.parametrize(("values", "said"), [
    ({"ids": (1, 1), "types": ("a", "b"), "locations": np.zeros((2, 3))}, "twice"),
    ({"ids": (1,), "types": ("a",), "locations": np.zeros((2, 3))}, "2 locations"),
    ({"ids": (1,), "types": ("a",), "locations": np.zeros((1, 3)), "partners": ((1, 4),)}, "annotation 4"),
])  # fmt: skip
def test_annotations_that_do_not_fit(values, said):
    with pytest.raises(UserError, match=said):
        Annotations(**values)


def test_what_is_no_file_of_cremi(tmp_path):
    (tmp_path / "text.hdf").write_text("text")
    with pytest.raises(UserError, match=r"text\.hdf: cannot be read as HDF5"):
        read_annotations(tmp_path / "text.hdf")
    with h5py.File(tmp_path / "old.hdf", "w") as file:
        file.attrs["file_format"] = "0.1"
        file["annotations/ids"] = [1]
    with pytest.raises(UserError, match=r"old\.hdf:annotations: cannot be read"):
        read_annotations(tmp_path / "old.hdf")
    with h5py.File(tmp_path / "old.hdf", "a") as file:
        del file["annotations"]
    with pytest.raises(UserError, match=r"file_format '0\.1'"):
        read_cremi(tmp_path / "old.hdf")
    with pytest.raises(UserError, match="no such file"):
        read_cremi(tmp_path / "none.hdf")


@pytest.mark.parametrize(("volume", "offset"), [("cropped", (0, 0, 0)), ("padded", PADDED_OFFSET)])
def test_a_submission_is_made_and_checked(tmp_path, volume, offset):
    around = tuple(o - 2 * v if o else 0 for o, v in zip(offset, VOXEL_SIZE, strict=True))
    components = create_volume(tmp_path / "out.zarr", "c", (9, 30, 40), VOXEL_SIZE, around, "uint64")
    values = np.zeros((9, 30, 40), np.uint64)
    values[3:5, 5:9, 6:20] = 7
    components.write(components.box, values)
    path = tmp_path / "A+.hdf"
    make_submission(components, path, "clefts", volume=volume, shape=SHAPE)
    assert check_submission(path, volume, SHAPE) == []
    found, begin = read_cremi(path).clefts, 2 if any(offset) else 0
    inside = values[begin:, begin:, begin:][tuple(map(slice, SHAPE))]
    np.testing.assert_array_equal(found.read(), np.where(inside == 0, np.uint64(BACKGROUND), np.uint64(7)))
    assert found.offset == offset
    other = {"cropped": "padded", "padded": "cropped"}[volume]
    assert len(check_submission(path, other, SHAPE)) == 1
    with pytest.raises(UserError, match="reaches outside"):
        make_submission(components, tmp_path / "b.hdf", "clefts", volume=volume)


@pytest.mark.parametrize(("change", "said"), [
    ({"ids": 0}, "no voxel is 2^64 - 1"), ({"ids": BACKGROUND}, "it is empty"), ({"unknown": True}, "2^64 - 2"),
    ({"resolution": (4, 4, 40)}, "its resolution is (4, 4, 40)"), ({"offset": (40, 0, 0)}, "its offset is (40, 0, 0)"),
    ({"shape": (4, 20, 30)}, "its shape is (4, 20, 30)"), ({"zero": True}, "0 is a cleft like any other"),
])  # fmt: skip
def test_the_check_says_what_is_wrong(tmp_path, change, said):
    ids = np.full(change.get("shape", SHAPE), change.get("ids", BACKGROUND), np.uint64)
    if "ids" not in change:
        ids[1, 2:5, 3:9] = 0 if "zero" in change else 4
    if "unknown" in change:
        ids[2] = UNKNOWN
    volume = in_memory(ids, change.get("resolution", VOXEL_SIZE), change.get("offset", (0, 0, 0)))
    write_cremi(tmp_path / "s.hdf", CremiFile(clefts=volume))
    faults = check_submission(tmp_path / "s.hdf", shape=SHAPE)
    assert len(faults) == 1
    assert said in faults[0]


def test_the_check_of_other_tasks(tmp_path, annotations):
    path = tmp_path / "s.hdf"
    write_cremi(path, CremiFile())
    assert "holds neither" in check_submission(path, shape=SHAPE)[0]
    write_cremi(path, CremiFile(neuron_ids=in_memory(np.zeros(SHAPE, np.uint64), VOXEL_SIZE)), overwrite=True)
    assert check_submission(path, shape=SHAPE) == ["neuron_ids: it is empty: all voxels are 0"]
    write_cremi(path, CremiFile(annotations=replace(annotations, partners=())), overwrite=True)
    assert "no partners" in check_submission(path, shape=SHAPE)[0]
    write_cremi(path, CremiFile(annotations=annotations), overwrite=True)
    assert check_submission(path, shape=SHAPE) == []


def test_an_image_is_no_submission(tmp_path):
    """Raw in the place of a segmentation has ids, too."""
    raw = np.random.default_rng(0).integers(0, 256, SHAPE)
    volume = create_volume(tmp_path / "raw.zarr", "raw", SHAPE, VOXEL_SIZE, (0, 0, 0), "uint8")
    volume.write(volume.box, raw.astype(np.uint8))
    for task in ("clefts", "neuron_ids"):
        with pytest.raises(UserError, match=r"raw\.zarr:raw: most of its voxels differ from the next one.*Name the segmentation"):
            make_submission(volume, tmp_path / "s.hdf", task, shape=SHAPE)
        assert not (tmp_path / "s.hdf").exists()
    for name in ("clefts", "neuron_ids"):
        write_cremi(tmp_path / "s.hdf", CremiFile(**{name: in_memory(raw.astype(np.uint64), VOXEL_SIZE)}), overwrite=True)
        (fault,) = check_submission(tmp_path / "s.hdf", shape=SHAPE)
        assert fault.startswith(f"{name}: most of its voxels differ")


@pytest.fixture
def volumes(tmp_path):
    """A truth in a CREMI file, and a prediction around it, as probabilities, components and segments."""
    truth, neurons = np.full(SHAPE, BACKGROUND, np.uint64), np.ones(SHAPE, np.uint64)
    truth[2, 5:8, 4:20], neurons[:, :, 15:] = 3, 2
    annotations = Annotations((1, 2), ("presynaptic_site", "postsynaptic_site"), np.array([[80.0, 8, 8], [80, 8, 100]]), {},
                              ((1, 2),), OFFSET)
    write_cremi(tmp_path / "truth.hdf", CremiFile(clefts=in_memory(truth, VOXEL_SIZE, OFFSET),
                                                  neuron_ids=in_memory(neurons, VOXEL_SIZE, OFFSET), annotations=annotations))
    around = tuple(o - 2 * v for o, v in zip(OFFSET, VOXEL_SIZE, strict=True))
    found = np.zeros((9, 24, 34), np.uint8)
    found[4, 7:10, 6:22], found[4, 7:10, 6:9] = 200, 100
    out = tmp_path / "prediction.zarr"
    for name, values in (("probabilities", found), ("components", (found > 127).astype(np.uint64))):
        volume = create_volume(out, name, found.shape, VOXEL_SIZE, around, values.dtype)
        volume.write(volume.box, values)
    return tmp_path


def evaluate(volumes, *arguments):
    with pytest.raises(SystemExit) as ended:
        evaluate_command.cli.run(evaluate_command._evaluate, evaluate_command._parser(""), [
            str(volumes / "prediction.zarr"), str(volumes / "truth.hdf"), "--out", str(volumes / "scores"), *arguments])
    return ended.value.code


def test_clefts_are_scored_where_the_truth_is(volumes, capsys):
    assert evaluate(volumes, "--task", "clefts", "--prediction-dataset", "components", "--tolerance", "11") == 0
    row = json.loads((volumes / "scores.json").read_text())["scores"]["clefts"]
    assert not (volumes / "scores.png").exists(), "one score is no curve"
    assert (row["false_positives"], row["false_negatives"], row["precision"]) == (0, 3, 1)
    assert row["adf"] == pytest.approx(3 * (4 + 8 + 12) / 48)
    assert evaluate(volumes, "--task", "clefts", "--prediction-dataset", "probabilities", "--curve") == 0
    rows = json.loads((volumes / "scores.json").read_text())["scores"]
    assert (len(rows), rows["threshold 0.3"]["mean_distance"], rows["threshold 0.9"]["f1"]) == (19, 0, 0)
    assert rows["threshold 0.5"]["adf"] == row["adf"]
    assert "<- best F1" in capsys.readouterr().out
    assert (volumes / "scores.png").read_bytes().startswith(b"\x89PNG")
    single = ("--task", "clefts", "--prediction-dataset", "components")
    assert evaluate(volumes, *single) == 0
    assert not (volumes / "scores.png").exists(), "a plot of other scores"
    (volumes / "scores.png").write_bytes(b"somebody's own")
    assert evaluate(volumes, *single) == 0
    assert (volumes / "scores.png").read_bytes() == b"somebody's own"


def test_a_threshold_is_chosen_on_another_volume(volumes, capsys):
    probabilities = ("--task", "clefts", "--prediction-dataset", "probabilities")
    assert evaluate(volumes, *probabilities, "--threshold", "0.9", "0.3") == 0
    (volumes / "scores.json").rename(volumes / "other.json")
    assert evaluate(volumes, *probabilities, "--threshold-of", str(volumes / "other.json")) == 0
    assert list(json.loads((volumes / "scores.json").read_text())["scores"]) == ["threshold 0.3"]
    single = ("--task", "clefts", "--prediction-dataset", "components")
    assert evaluate(volumes, *single) == 0
    assert evaluate(volumes, *probabilities, "--threshold-of", str(volumes / "scores.json")) == 2
    assert "holds no scores of thresholds" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("components",), ("probabilities", "--curve")])
def test_a_truth_that_is_cleft_all_over_is_warned_of(volumes, caplog, arguments):
    """Neurons under another name, or a background that was not found."""
    evaluate(volumes, "--task", "clefts", "--prediction-dataset", *arguments)
    assert "of the voxels are clefts" not in caplog.text
    evaluate(volumes, "--task", "clefts", "--prediction-dataset", *arguments, "--truth-background", "5")
    assert "100 % of the voxels are clefts" in caplog.text


def test_neurons_and_partners_are_scored(volumes):
    own = [str(volumes / "truth.hdf"), str(volumes / "truth.hdf"), "--out", str(volumes / "scores"), "--task"]
    for arguments, key, value in ((["neurons", "--border-threshold", "4"], "adapted_rand_error", 0), (["partners"], "fscore", 1)):
        with pytest.raises(SystemExit) as ended:
            evaluate_command.cli.run(evaluate_command._evaluate, evaluate_command._parser(""), own + arguments)
        assert ended.value.code == 0
        row = json.loads((volumes / "scores.json").read_text())["scores"][arguments[0]]
        assert row[key] == value
    assert evaluate(volumes, "--task", "neurons", "--prediction-dataset", "components") == 0
    assert json.loads((volumes / "scores.json").read_text())["scores"]["neurons"]["adapted_rand_error"] > 0.3


@pytest.mark.parametrize(("arguments", "said"), [
    (["--task", "clefts", "--prediction-dataset", "probabilities"], "Pass --threshold or"),
    (["--task", "neurons", "--prediction-dataset", "components", "--curve"], "--curve: is of --task clefts"),
    (["--task", "clefts", "--prediction-dataset", "probabilities", "--threshold", "2"], "is not from 0 to less than 1"),
    (["--task", "clefts", "--prediction-dataset", "probabilities", "--curve", "--channel", "1"], "there is no 1"),
    (["--task", "clefts", "--prediction-dataset", "components", "--voxel-size", "8", "4", "4"], "do not overlap"),
    (["--task", "clefts", "--prediction-dataset", "components", "--truth-dataset", "volumes/labels/neuron_ids"],
     "neuron_ids is not scored as clefts"),
    (["--task", "neurons", "--prediction-dataset", "components", "--truth-dataset", "volumes/labels/clefts"],
     "clefts is not scored as neurons"),
    (["--task", "clefts", "--prediction-dataset", "components", "--channel", "0"], "--channel: is of probabilities"),
    (["--task", "clefts", "--prediction-dataset", "probabilities", "--curve", "--background", "0"], "--background: is of ids"),
    (["--task", "clefts", "--prediction-dataset", "probabilities", "--curve", "--threshold", "0.5"], "name one of them"),
    (["--task", "clefts", "--prediction-dataset", "probabilities", "--curve", "--threshold-of", "x.json"], "name one of them"),
    (["--task", "neurons", "--prediction-dataset", "components", "--threshold-of", "x.json"],
     "--threshold-of: is of --task clefts"),
    (["--task", "clefts", "--prediction-dataset", "probabilities", "--threshold-of", "x.json"], "x.json: holds no scores"),
    (["--task", "partners", "--prediction-dataset", "components"], "annotations have neither"),
    (["--task", "partners"], "is a directory, perhaps a zarr"),
    (["--task", "clefts", "--prediction-dataset", "components", "--background", str(2**64)], r"is above 2\^64 - 1, the last id"),
])  # fmt: skip
def test_what_is_refused(volumes, capsys, arguments, said):
    assert evaluate(volumes, *arguments) == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_prediction_that_does_not_cover_the_truth_is_refused(volumes, capsys):
    small = create_volume(volumes / "prediction.zarr", "small", (3, 20, 30), VOXEL_SIZE, OFFSET, "uint64")
    assert small.shape == (3, 20, 30)
    assert evaluate(volumes, "--task", "clefts", "--prediction-dataset", "small") == 2
    assert "all of the truth is scored" in capsys.readouterr().err


def test_a_background_of_neurons_is_refused(tmp_path, monkeypatch, capsys):
    arguments = ["make", "n.zarr", "x", tmp_path / "out.hdf", "--task", "neuron_ids", "--background", "0"]
    monkeypatch.setattr(sys, "argv", ["submission.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        submission_command.main("")
    assert (ended.value.code, "--background: is of --task clefts" in capsys.readouterr().err) == (2, True)
