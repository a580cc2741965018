"""All sections of a configuration are checked before the first stage, and by --dry-run: no stage has begun when it is refused."""

import sqlite3

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline import command
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.pipeline.truths import Labels

VOXEL_SIZE, OFFSET, SHAPE = (20, 9, 9), (200, 90, -45), (27, 40, 41)  # of the fixtures
LABELS = 'labels_file = "out.zarr"'


def put(directory, name, values, voxel_size=VOXEL_SIZE, offset=OFFSET):
    volume = create_volume(str(directory / "others.zarr"), f"volumes/{name}", values.shape, voxel_size, offset, values.dtype)
    volume.write(volume.box, values)


@pytest.fixture
def others(tmp_path, labels):
    """Truths and masks that do not fit."""
    put(tmp_path, "turned", labels.T.copy())
    put(tmp_path, "far", labels, offset=(20000, 90, -45))
    put(tmp_path, "floats", labels.astype(np.float32))
    put(tmp_path, "coarse", labels, (40, 18, 18))
    put(tmp_path, "mask", np.ones((9, 13, 13), np.uint8), (60, 25, 25))
    (tmp_path / "damaged.csv").write_text("id,z\n1,2\n")
    (tmp_path / "away.swc").write_text("1 0 1e6 1e6 1e6 1 -1\n2 0 1e6 1e6 2e6 1 1\n")
    (tmp_path / "file").write_text("")
    sqlite3.connect(tmp_path / "other.db").executescript("CREATE TABLE cats (name TEXT); PRAGMA user_version = 3;")


def ends(path, capsys, *options):
    with pytest.raises(SystemExit) as ended:
        command.main("run", "docs", [str(path), *options])
    return ended.value.code, capsys.readouterr()


CASES = {
    "region outside of the labels": ({"evaluate": f"{LABELS}\nroi_offset = [0, 90, -45]\nroi_shape = [200, 180, 180]"},
                                     "reaches outside of"),
    "labels not there": ({"evaluate": f'{LABELS}\nlabels_dataset = "volumes/label"'}, "no dataset 'volumes/label'"),
    "labels in x, y, z": ({"evaluate": 'labels_file = "others.zarr"\nlabels_dataset = "volumes/turned"'}, "order, x, y, z"),
    "labels elsewhere": ({"evaluate": 'labels_file = "others.zarr"\nlabels_dataset = "volumes/far"'}, "do not overlap"),
    "labels of floats": ({"evaluate": 'labels_file = "others.zarr"\nlabels_dataset = "volumes/floats"'}, "labels are integers"),
    "labels of other voxels": ({"evaluate": 'labels_file = "others.zarr"\nlabels_dataset = "volumes/coarse"'}, "(40, 18, 18) nm"),
    "skeletons not there": ({"evaluate": 'skeletons_file = "none.swc"'}, "none.swc: no such file"),
    "skeletons damaged": ({"evaluate": 'skeletons_file = "damaged.csv"'}, "damaged.csv"),
    "skeletons elsewhere": ({"evaluate": 'skeletons_file = "away.swc"'}, "none of the 2 nodes lies in the region"),
    "skeletons' region": ({"evaluate": 'skeletons_file = "away.swc"\nroi_offset = [0, 90, -45]\nroi_shape = [200, 180, 180]'},
                          "reaches outside of"),
    "best without evaluate": ({"evaluate": "", "extract": 'threshold = "best"'}, "threshold = \"best\", need it"),
    "a threshold without a table": ({"extract": "threshold = 0.45"}, "[extract] threshold = 0.45: [find_segments] makes no"),
    "a size between voxels": ({"extract": "block_size = [200, 144, 130]"}, "[extract] block_size"),
    "agglomerate's context": ({"agglomerate": "block_size = [300, 144, 126]"}, "no multiple of that of the fragments"),
    "a mask of other voxels": ({"fragments": 'mask_file = "others.zarr"\nmask_dataset = "volumes/mask"'}, "whole multiples"),
    "a mask that is not there": ({"fragments": 'mask_file = "others.zarr"\nmask_dataset = "volumes/msk"'}, "did you mean"),
    "scores below a file": ({"evaluate": f'{LABELS}\nout_prefix = "file/scores"'}, "cannot be written"),
    "a table that is none": ({"evaluate": f'{LABELS}\nscores_db = "other.db"'}, "other.db"),
    "a graph below a file": ({"top": 'db = "file/graph.db"'}, "graph.db"),
    "fragments below a file": ({"fragments": 'fragments_file = "file/f.zarr"'}, "f.zarr"),
    "a database that is not there": ({"top": 'db = "postgresql://u:s3cret@127.0.0.1:1/x"'}, "127.0.0.1"),
}


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_before_anything_is_made(config, out_file, others, capsys, case, options):
    change, words = CASES[case]
    path = config(**change)
    before = {path: path.is_file() and path.stat().st_mtime_ns for path in path.parent.rglob("*")}
    status, shown = ends(path, capsys, *options)
    assert status == 2, shown
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert words in shown.err
    assert "s3cret" not in shown.err
    assert {path: path.is_file() and path.stat().st_mtime_ns for path in path.parent.rglob("*")} == before


@pytest.mark.parametrize("change", [
    {}, {"evaluate": f"{LABELS}\nroi_offset = [240, 90, -45]\nroi_shape = [200, 180, 180]", "extract": 'threshold = "best"'},
    {"extract": "threshold = 0.4"}, {"evaluate": f'{LABELS}\nout_prefix = "new/scores"', "top": 'db = "new/graph.db"'},
])
def test_what_fits_is_planned(config, out_file, others, capsys, change):
    """Negative control."""
    path = config(**change)
    before = set(path.parent.rglob("*"))
    status, shown = ends(path, capsys, "--dry-run")
    assert status == 0, shown
    assert "extract_segmentation" in shown.out
    assert set(path.parent.rglob("*")) == before


def test_labels_larger_than_the_fragments_are_judged_where_both_are(config, out_file, tmp_path, labels):
    put(tmp_path, "large", np.pad(labels, 3), offset=(140, 63, -72))
    large = open_volume(str(tmp_path / "others.zarr"), "volumes/large")
    fragments = open_volume(str(out_file), "volumes/labels/neuron_ids")
    Labels(large).check(fragments, None)
    Labels(large).check(fragments, (OFFSET, (200, 180, 180)))
    with pytest.raises(UserError, match=r"the region reaches outside of what .* share"):
        Labels(large).check(fragments, ((140, 90, -45), (200, 180, 180)))


def test_places_that_are_written_no_more_need_not_be_writable(config, out_file, monkeypatch):
    from lsd_experiments.pipeline import places
    from lsd_experiments.pipeline.overview import Planned
    from lsd_experiments.stages.states import State

    def refuse(directory):
        raise PermissionError(13, "Permission denied", str(directory))

    monkeypatch.setattr(places, "check_writable", refuse)
    settings = load_pipeline(config(evaluate=""))
    places.check_places(settings, [Planned("extract_fragments", None, State("done"))])
    with pytest.raises(PermissionError) as error:
        places.check_places(settings, [Planned("extract_fragments", None, State("new"))])
    assert error.value.filename == str(out_file)
