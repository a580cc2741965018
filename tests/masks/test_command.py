"""create_masks.py as a user runs it."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lsd_experiments.arrays import create_volume, list_datasets, open_volume
from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.masks import command
from lsd_experiments.training.data import open_sample
from tests.scripts import run_script

from .conftest import LABELS, NO_NEURON, OFFSET, SHAPE, VOXEL_SIZE

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / "02_train"
MASK, UNLABELED = "volumes/labels/labels_mask", "volumes/labels/unlabeled_mask"


def run(*arguments):
    return run_script(ROOT / "01_data/create_masks.py", *arguments)


def masks(*arguments, data_dir=Path("nowhere")):
    """The command in this process."""
    command.create_masks(command._parser(None).parse_args([*map(str, arguments)]), Path(data_dir), EXPERIMENTS)


def read(container, dataset=MASK):
    return open_volume(container, dataset).read()


def test_all_that_was_fetched_by_the_rule_of_its_dataset(write, labels, tmp_path, capsys):
    names = ["hemi/training/a.zarr", "hemi/training/b.zarr", "fib25/training/c.zarr", "mine/training/d.zarr"]
    containers = [write(f"01_data/funke/{name}") for name in names]
    masks(data_dir=tmp_path / "01_data")
    for container in containers[:2]:
        np.testing.assert_array_equal(read(container), labels != NO_NEURON)
    for container in containers[2:]:
        assert (read(container) == 1).all()
    told = sorted(capsys.readouterr().out.splitlines(), key=lambda line: line.split(".zarr")[0][-1])
    share = (labels != NO_NEURON).mean()
    assert told[0] == f"{containers[0]}:{MASK}: {share:.2%} of the voxels count (without {NO_NEURON})"
    assert told[2] == f"{containers[2]}:{MASK}: 100.00% of the voxels count"


@pytest.mark.parametrize("name", ["a.zarr", "a.n5", "a.h5"])
def test_a_named_container(write, labels, name):
    container = write(name)
    done = run(container, "--exclude", 2, 5)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{container}:{MASK}: ")
    np.testing.assert_array_equal(read(container), ~np.isin(labels, [2, 5]))


def test_the_dataset_by_name_and_further_ids(write, labels):
    container = write("a.zarr")
    masks(container, "--dataset", "hemi", "--exclude", 1)
    np.testing.assert_array_equal(read(container), (labels != 1) & (labels != NO_NEURON))


def test_made_like_this_there_is_nothing_to_do_and_otherwise_it_is_refused(write, capsys):
    container = write("a.zarr")
    masks(container, "--dataset", "hemi")
    before = {path: path.stat().st_mtime_ns for path in Path(container).rglob("*")}
    masks(container, "--dataset", "hemi")
    assert "is there already, made like this" in capsys.readouterr().out
    with pytest.raises(UserError, match=rf"excluded = \[{NO_NEURON}\], now it is \[\]. .*--overwrite"):
        masks(container)
    assert {path: path.stat().st_mtime_ns for path in Path(container).rglob("*")} == before
    masks(container, "--overwrite")
    assert (read(container) == 1).all()


def test_a_mask_moves_with_its_container(write, tmp_path, capsys):
    shutil.move(write("a.zarr"), tmp_path / "b.zarr")
    masks(tmp_path / "b.zarr")
    shutil.move(tmp_path / "b.zarr", tmp_path / "c.zarr")
    masks(tmp_path / "c.zarr")
    assert "is there already, made like this" in capsys.readouterr().out


def test_a_mask_that_does_not_say_what_made_it_stays(write):
    container, other = write("a.zarr"), write("b.zarr")
    create_volume(container, MASK, SHAPE, VOXEL_SIZE, OFFSET, np.uint8)
    with pytest.raises(UserError, match="does not say what made it"):
        masks(other, container)
    assert list_datasets(other) == [LABELS]  # nothing is written before all is known to be right
    assert not read(container).any()


def test_labels_that_changed_their_place_get_another_mask(write, labels):
    container = write("a.zarr")
    masks(container)
    path = Path(container) / LABELS / ".zattrs"
    path.write_text(json.dumps({**json.loads(path.read_text()), "offset": [0, 0, 0]}))
    with pytest.raises(UserError, match=r"offset = \[120.0, -30.0, 13.8\], now it is \[0.0, 0.0, 0.0\]"):
        masks(container)


def test_unlabeled_is_within_the_labels_mask_if_there_is_one(write, labels):
    container = write("a.zarr")
    masks(container, "--unlabeled")
    np.testing.assert_array_equal(read(container, UNLABELED), labels != 0)
    masks(container, "--exclude", 2)
    with pytest.raises(UserError, match="was made with labels_mask = not given"):
        masks(container, "--unlabeled")
    masks(container, "--unlabeled", "--overwrite")
    np.testing.assert_array_equal(read(container, UNLABELED), ~np.isin(labels, [0, 2]))
    masks(container, "--unlabeled", "--include-zero", "--unlabeled-dataset", "volumes/with_zero")
    np.testing.assert_array_equal(read(container, "volumes/with_zero"), labels != 2)
    masks(container, "--unlabeled", "--mask-dataset", "volumes/none", "--unlabeled-dataset", "volumes/without_mask")
    np.testing.assert_array_equal(read(container, "volumes/without_mask"), labels != 0)


def test_datasets_of_other_names(write, labels):
    container = write("a.zarr", dataset="volumes/cells")
    with pytest.raises(UserError, match=r"no dataset 'volumes/labels/neuron_ids'.*volumes/cells"):
        masks(container)
    masks(container, "--labels-dataset", "volumes/cells", "--mask-dataset", "volumes/cells_mask", "--exclude", 1)
    np.testing.assert_array_equal(read(container, "volumes/cells_mask"), labels != 1)


def tiff(directory, labels):
    tifffile.imwrite(directory / "labels.tif", labels.astype(np.uint16), photometric="minisblack")
    (directory / "labels.json").write_text(json.dumps({"container": "labels.tif", "voxel_size": VOXEL_SIZE}))
    return directory / "labels.json"


def crop(directory, labels):
    place = {"offset": [o + 2 * v for o, v in zip(OFFSET, VOXEL_SIZE, strict=True)], "size": [4 * v for v in VOXEL_SIZE]}
    (directory / "crop.json").write_text(json.dumps({"container": "a.zarr", **place}))
    return directory / "crop.json"


@pytest.mark.parametrize(("make", "part"), [(tiff, np.s_[:]), (crop, np.s_[2:6, 2:6, 2:6])], ids=["TIFF", "crop"])
def test_what_is_only_read_gets_its_mask_elsewhere(write, labels, tmp_path, make, part):
    write("a.zarr")
    container, out = make(tmp_path, labels), tmp_path / "out.zarr"
    with pytest.raises(UserError, match=r"json: is only read. .*--output OUT.zarr"):
        masks(container, "--exclude", 5)
    masks(container, "--exclude", 5, "--output", out)
    np.testing.assert_array_equal(read(out), labels[part] != 5)
    assert open_volume(out, MASK).offset == pytest.approx(open_volume(container, default=LABELS).offset)
    masks(container, "--unlabeled", "--output", out)  # within the mask there
    np.testing.assert_array_equal(read(out, UNLABELED), ~np.isin(labels[part], [0, 5]))


def test_training_takes_it(write, labels):
    """And refuses one that is not of these labels, in words that are true: made again, it fits."""
    container = write("hemi/training/a.zarr")
    raw = create_volume(container, "volumes/raw", SHAPE, VOXEL_SIZE, OFFSET, np.uint8)
    dataset = load_dataset(EXPERIMENTS / "hemi" / "dataset.toml").model_copy(update={"voxel_size": VOXEL_SIZE})
    create_volume(container, MASK, (7, 11, 12), VOXEL_SIZE, OFFSET, np.uint8)
    with pytest.raises(UserError, match=r"Make it again with create_masks.py --overwrite"):
        open_sample(dataset, container)
    masks(container, "--overwrite")
    sample = open_sample(dataset, container)
    assert raw.shape == sample.labels_mask.shape
    np.testing.assert_array_equal(sample.labels_mask.read(), labels != NO_NEURON)


@pytest.mark.parametrize(("arguments", "message"), [
    (("absent.zarr",), "absent.zarr: no such file or directory"),
    (("a.zarr", "--dataset", "hemy"), "--dataset hemy: there is none of that name; did you mean 'hemi'?"),
    (("a.zarr", "--include-zero"), "--include-zero is for --unlabeled"),
    (("a.zarr", "a.zarr", "--output", "b.zarr"), "--output is for one container"),
    (("a.zarr", "--output", "b.h5"), "--output b.h5: masks are put into zarr"),
    (("floats.zarr",), "is of type float32; labels are integers"),
])  # fmt: skip
def test_mistakes_are_one_line(write, labels, tmp_path, monkeypatch, capsys, arguments, message):
    write("a.zarr")
    write("floats.zarr", labels.astype(np.float32))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        masks(*arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""
    assert list_datasets("a.zarr") == [LABELS]


def test_the_commands_own_mistakes(tmp_path):
    done = run(tmp_path / "absent.zarr")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"error: {tmp_path}/absent.zarr: no such file or directory. Name a zarr, N5, HDF5, TIFF or crop (.json)\n"
    )


@pytest.mark.parametrize("text", [str(2**64), str(-(2**63) - 1), "foo", "1.5"])
def test_what_is_no_id(capsys, text):
    with pytest.raises(SystemExit) as ended:
        masks("--exclude", text)
    assert ended.value.code == 2
    said = f"argument --exclude: {text} is no id, which is a whole number from {-(2**63)} to {2**64 - 1}"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
@pytest.mark.parametrize("options", [[], ["--unlabeled"]])
def test_negative_ids_are_refused_unless_excluded(write, dtype, options):
    """The message names what takes them; what it names works. Nothing is written before."""
    values = np.ones(SHAPE, dtype)
    values[0], values[1, 2, 3], values[6] = 0, -1, -2
    container = write("a.zarr", values)
    with pytest.raises(UserError, match=rf"a.zarr:{LABELS}: holds the id -1 at voxel \(1, 2, 3\), .* --exclude -2 -1"):
        masks(container, *options, "--exclude", "-2")
    assert list_datasets(container) == [LABELS]
    masks(container, *options, "--exclude", "-2", "-1")
    np.testing.assert_array_equal(read(container, UNLABELED if options else MASK), values > 0 if options else values >= 0)


def test_a_negative_id_is_that_of_its_bits(write):
    """CREMI's background, 2^64 - 1: an id like any other, unless it is excluded, as -1 or as what it is."""
    values = np.full(SHAPE, 7, np.uint64)
    values[2:, 3], values[1] = 2**64 - 1, 2**64 - 2
    container = write("a.zarr", values)
    masks(container)
    assert (read(container) == 1).all()
    masks(container, "--exclude", "-1", "--overwrite")
    np.testing.assert_array_equal(read(container), values != 2**64 - 1)
    masks(container, "--exclude", str(2**64 - 1))  # made like this


def test_a_negative_id_outside_of_the_labels_mask_needs_no_option(write):
    values = np.ones(SHAPE, np.int32)
    values[1, 2, 3] = -1
    container = write("a.zarr", values)
    masks(container, "--exclude", "-1")
    masks(container, "--unlabeled")
    np.testing.assert_array_equal(read(container, UNLABELED), values > 0)


@pytest.mark.parametrize(("dtype", "one"), [("uint8", 255), ("uint16", 256), ("int64", 2**40), ("bool", True), ("float32", 1)])
def test_a_labels_mask_of_any_type_counts_where_it_is_not_0(write, labels, dtype, one):
    import zarr

    container = write("a.zarr")
    group, mask = zarr.open(container), np.zeros(SHAPE, dtype)
    mask[:, 4:, 5:] = one
    group[MASK] = mask
    group[MASK].attrs.update(group[LABELS].attrs.asdict())
    masks(container, "--unlabeled")
    np.testing.assert_array_equal(read(container, UNLABELED), (labels != 0) & (mask != 0))


def test_no_volumes(tmp_path):
    with pytest.raises(UserError, match=r"funke: no training volumes"):
        masks(data_dir=tmp_path)


def test_the_rules_of_the_datasets(tmp_path):
    """By the name of the directory; by where a dataset says that its volumes are; of one elsewhere, by its directory."""
    def ids(container, dataset=None, experiments=EXPERIMENTS):
        return command.background_ids(str(container), dataset, experiments)

    hemi = (18446744073709551613,)
    assert ids("/data/funke/hemi/training/a.zarr") == hemi
    for container in ("/data/hemi/a.zarr", "/data/fib25/training/a.zarr", "a.zarr", "s3://bucket/hemi/a.zarr"):
        assert ids(container) == ()
    assert ids("/data/fib25/training/a.zarr", "hemi") == hemi
    mine = tmp_path / "02_train" / "mine"
    mine.mkdir(parents=True)
    (mine / "dataset.toml").write_text('name = "mine"\nvoxel_size = [40, 4, 4]\ndirectory = "../../here"\nvolumes = ["a.zarr"]\n'
                                       "background_ids = [7, 9]\n")
    assert ids(tmp_path / "here/a.zarr", experiments=mine.parent) == (7, 9)
    assert ids(tmp_path / "there/a.zarr", experiments=mine.parent) == ()
    assert ids("b.zarr", str(mine)) == (7, 9)


def test_ctrl_c_leaves_nothing_and_a_rerun_makes_it(tmp_path):
    """With labels that take a while: many blocks of zeros, which are not stored."""
    container = tmp_path / "a.zarr"
    create_volume(container, LABELS, (2048, 256, 256), VOXEL_SIZE, OFFSET, np.uint64)
    process = subprocess.Popen(
        [sys.executable, ROOT / "01_data/create_masks.py", container], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    partial = container / "volumes/labels/.labels_mask.partial"
    while not (partial / "0.0.0").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "interrupted\n")
    assert process.returncode == 130
    assert list_datasets(container) == [LABELS]
    assert not partial.exists()
    masks(container)
    assert (open_volume(container, MASK).read(Box((2000, 0, 0), (2048, 256, 256))) == 1).all()
