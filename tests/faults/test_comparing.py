"""The comparison of runs notices what it is there for."""

import shutil
import sqlite3

import pytest

from lsd_experiments.arrays import open_volume
from tests.faults.comparing import compare_files, compare_graphs, read_graph
from tests.faults.scene import MERGE_FUNCTION


@pytest.fixture
def copy(reference, tmp_path):
    return shutil.copytree(reference, tmp_path / "copy")


def test_a_copy_is_the_same(reference, copy):
    assert compare_files(reference, copy) == []
    assert compare_graphs(read_graph(str(reference / "out.db")), read_graph(str(copy / "out.db"))) == []


@pytest.mark.parametrize("dataset", ["affs", "fragments", "segmentation_40"])
def test_a_flipped_voxel_is_found(reference, copy, dataset):
    volume = open_volume(str(copy / "out.zarr"), f"volumes/{dataset}", writable=True)
    volume.array[..., 7, 20, 33] ^= 1
    (line,) = compare_files(reference, copy)
    assert line.startswith(f"out.zarr/volumes/{dataset}/")
    assert line.endswith("differs")


def test_missing_and_extra_files_are_found(reference, copy):
    (copy / "out.zarr/volumes/fragments/0.1.1").unlink()
    (copy / "out.zarr/volumes/fragments/.0.1.1.17.partial").touch()
    assert compare_files(reference, copy) == ["out.zarr/volumes/fragments/0.1.1: missing",
                                             "out.zarr/volumes/fragments/.0.1.1.17.partial: not in the reference"]


def test_another_score_is_found(reference, copy):
    path = copy / f"out_{MERGE_FUNCTION}.json"
    path.write_text(path.read_text().replace('"voi_split": ', '"voi_split": 1', 1))
    assert compare_files(reference, copy) == [f"{path.name}: differs"]


@pytest.mark.parametrize(("statement", "says"), [
    ("DELETE FROM nodes WHERE id = (SELECT max(id) FROM nodes)", ["1 rows missing"]),
    ("INSERT INTO nodes SELECT max(id) + 1, center_z, center_y, center_x FROM nodes", ["1 rows not in the reference"]),
    ("UPDATE nodes SET center_z = center_z + 1e-9 WHERE id = (SELECT max(id) FROM nodes)",
     ["1 rows missing", "1 rows not in the reference"]),
])
def test_missing_orphan_and_other_rows_are_found(reference, copy, statement, says):
    found = compare_graphs(read_graph(str(reference / "out.db")), _changed(copy, statement))
    assert len(found) == len(says)
    assert all(line.startswith(f"table nodes: {said}") for line, said in zip(found, says, strict=True))


def test_a_doubled_row_is_found(reference, copy):
    doubled = _changed(copy, "CREATE TABLE loose AS SELECT * FROM nodes; DROP TABLE nodes; ALTER TABLE loose RENAME TO nodes;"
                             "INSERT INTO nodes SELECT * FROM nodes WHERE id = (SELECT min(id) FROM nodes)")
    (line,) = compare_graphs(read_graph(str(reference / "out.db")), doubled)
    assert line.startswith("table nodes: 1 rows not in the reference")


def _changed(copy, statements):
    with sqlite3.connect(copy / "out.db") as connection:
        connection.executescript(statements)
    connection.close()
    return read_graph(str(copy / "out.db"))
