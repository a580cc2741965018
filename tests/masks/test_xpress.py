"""add_labels_mask.py and add_unlabeled_mask.py as a user runs them: published names, defaults and meaning."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from lsd_experiments.arrays import create_volume, list_datasets, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.xpress import masks as xpress
from tests.scripts import run_script

from .conftest import NO_NEURON, OFFSET, SHAPE, VOXEL_SIZE

ROOT = Path(__file__).resolve().parents[2]
LABELS, MASK, UNLABELED = (f"volumes/training_gt_{name}" for name in ("labels", "labels_mask", "unlabeled_mask"))


def add_labels_mask(*arguments):
    xpress.add_labels_mask(xpress._parser(None).parse_args([*map(str, arguments)]))


def add_unlabeled_mask(*arguments):
    xpress.add_unlabeled_mask(xpress._unlabeled_parser(None).parse_args([*map(str, arguments)]))


def read(container, dataset):
    return open_volume(container, dataset).read()


@pytest.fixture
def container(write):
    """In the challenge's layout."""
    return write("xpress-challenge.zarr", dataset=LABELS)


@pytest.mark.parametrize("name", ["a.zarr", "a.n5", "a.h5"])
def test_as_published(write, labels, name):
    """Both scripts, with their published defaults and spelling."""
    container = write(name, dataset=LABELS)
    for script, *options in (["add_labels_mask"], ["add_unlabeled_mask", "--include_zero", "0"]):
        done = run_script(ROOT / f"01_data/{script}.py", container, *options)
        assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{container}:{UNLABELED}: {(labels != 0).mean():.2%} of the voxels count\n"
    assert (read(container, MASK) == 1).all()
    np.testing.assert_array_equal(read(container, UNLABELED), labels != 0)
    for dataset in (MASK, UNLABELED):
        mask = open_volume(container, dataset)
        assert (mask.dtype, mask.shape, mask.voxel_size) == (np.uint8, SHAPE, VOXEL_SIZE)
        assert mask.offset == pytest.approx(OFFSET)


@pytest.mark.parametrize(("options", "unlabeled"), [
    ([], [0]),
    (["--include_zero", "1"], []),
    (["--exclude_labels", "2", str(NO_NEURON)], [0, 2, NO_NEURON]),
    (["--include-zero", "1", "--exclude-labels", "2"], [2]),
    (["--include_zero", "1", "--exclude_labels", "0"], [0]),
    (["--exclude_labels", "77"], [0]),
])  # fmt: skip
def test_what_is_labelled(container, labels, options, unlabeled):
    """1 is labelled, in spite of the name."""
    add_labels_mask(container)
    add_unlabeled_mask(container, *options)
    expected = np.array([[[int(v) not in unlabeled for v in row] for row in plane] for plane in labels])
    np.testing.assert_array_equal(read(container, UNLABELED), expected)


def test_the_labels_mask_counts(container, labels):
    """Where it is 0 nothing is labelled, whoever made it; and it need not be of value 1, nor cover the labels."""
    begin = (1, 2, 3)
    offset = [o + b * v for o, b, v in zip(OFFSET, begin, VOXEL_SIZE, strict=True)]
    mask = create_volume(container, "volumes/mine", (5, 6, 7), VOXEL_SIZE, offset, np.uint8)
    values = np.random.default_rng(1).integers(0, 3, mask.shape, np.uint8)
    mask.write(mask.box, values)
    add_unlabeled_mask(container, "--input_ds_mask", "volumes/mine", "--output_ds_label", "volumes/result")
    expected = np.zeros(SHAPE, bool)
    expected[1:6, 2:8, 3:10] = (values != 0) & (labels[1:6, 2:8, 3:10] != 0)
    assert 0 < expected.sum() < np.count_nonzero(values)
    np.testing.assert_array_equal(read(container, "volumes/result"), expected)
    assert list_datasets(container) == sorted([LABELS, "volumes/mine", "volumes/result"])


def test_the_labels_mask_comes_first(container):
    with pytest.raises(UserError, match=rf"{container}: no labels mask '{MASK}', which comes first. Make it with add_labels"):
        add_unlabeled_mask(container)
    assert list_datasets(container) == [LABELS]
    add_labels_mask(container)
    add_unlabeled_mask(container)


def test_nothing_is_lost(container, labels, capsys):
    """The published scripts replaced what was there; here that takes --overwrite, unless it would be the same."""
    add_labels_mask(container)
    add_unlabeled_mask(container)
    before = {path: path.stat().st_mtime_ns for path in Path(container).rglob("*")}
    add_labels_mask(container)
    add_unlabeled_mask(container)
    assert capsys.readouterr().out.count("is there already, made like this") == 2
    with pytest.raises(UserError, match=r"excluded = \[\], now it is \[2\]. .*--overwrite"):
        add_unlabeled_mask(container, "--exclude_labels", 2)
    assert {path: path.stat().st_mtime_ns for path in Path(container).rglob("*")} == before
    add_unlabeled_mask(container, "--exclude_labels", 2, "--overwrite")
    np.testing.assert_array_equal(read(container, UNLABELED), ~np.isin(labels, [0, 2]))


@pytest.mark.parametrize("dataset", [LABELS, MASK])
def test_the_result_is_not_put_in_place_of_what_it_is_made_from(container, labels, dataset):
    add_labels_mask(container)
    with pytest.raises(UserError, match=f"{dataset}: is what the mask is made from"):
        add_unlabeled_mask(container, "--output_ds_label", dataset, "--overwrite")
    np.testing.assert_array_equal(read(container, LABELS), labels)


@pytest.mark.parametrize("script", [add_labels_mask, add_unlabeled_mask])
@pytest.mark.parametrize(("name", "message"), [
    ("absent.zarr", "absent.zarr: no such file or directory"),
    ("stack.tif", "stack.tif: a TIFF stack has no datasets"),
    ("notes.txt", "notes.txt: of no known format"),
    ("floats.zarr", "is of type float32; labels are integers"),
    ("other.zarr", f"no dataset '{LABELS}'"),
])  # fmt: skip
def test_mistakes_are_one_line(write, labels, tmp_path, monkeypatch, script, name, message):
    write("floats.zarr", labels.astype(np.float32), dataset=LABELS)
    write("other.zarr", dataset="volumes/labels")
    tifffile.imwrite(tmp_path / "stack.tif", labels.astype(np.uint16))
    (tmp_path / "notes.txt").write_text("labels")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        script(name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("options", [["--include_zero", "2"], ["--include_zero", "yes"], ["--exclude_labels", "1.5"]])
def test_what_is_no_value(container, options):
    with pytest.raises(SystemExit) as ended:
        add_unlabeled_mask(container, *options)
    assert ended.value.code == 2


def test_negative_ids_are_refused_unless_excluded(write):
    values = np.ones(SHAPE, np.int64)
    values[0], values[1, 2, 3] = 0, -1
    container = write("a.zarr", values, LABELS)
    with pytest.raises(UserError, match=r"holds the id -1 at voxel \(1, 2, 3\), .* exclude it: --exclude-labels -1"):
        add_labels_mask(container)
    add_labels_mask(container, "--exclude-labels", "-1")
    np.testing.assert_array_equal(read(container, MASK), values >= 0)
    add_unlabeled_mask(container)  # it is out of the labels mask
    np.testing.assert_array_equal(read(container, UNLABELED), values > 0)
    values[6] = -5
    other = write("b.zarr", values, LABELS)
    add_labels_mask(other, "--exclude-labels", "-1", "-5")
    with pytest.raises(UserError, match="no labels mask 'absent'"):
        add_unlabeled_mask(other, "--input_ds_mask", "absent")
