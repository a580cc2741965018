"""The commands as a user runs them: the URL is all that they print, Ctrl-C ends them, a mistake is one line."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import h5py
import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.skeletons import Skeletons, write_skeletons
from lsd_experiments.viewing import view_batch, view_data, view_results
from lsd_experiments.viewing.options import Named
from tests.scripts import run_script

ROOT = Path(__file__).parent.parent.parent
DATA, RESULTS = ROOT / "01_data/view_data.py", ROOT / "03_predict/view.py"
BATCH = ("-c", "from lsd_experiments.viewing import view_batch; view_batch.main('Look at a batch.')")


def named_views(files, directories) -> list:
    """Files without datasets, and directories."""
    return view_data.named_views([Named(file) for file in files], directories)


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory, container) -> Path:
    """A directory with snapshots/batch_1.hdf and batch_401.hdf, as training writes them."""
    directory = tmp_path_factory.mktemp("mtlsd")
    (directory / "snapshots").mkdir()
    for iteration in (1, 401):
        with h5py.File(directory / f"snapshots/batch_{iteration}.hdf", "w") as file:
            for name, shape, dtype in (("raw", (1, 8, 9, 10), np.float32), ("labels/neuron_ids", (4, 5, 6), np.uint64),
                                       ("labels/mask", (4, 5, 6), np.uint8), ("gt_affinities", (3, 4, 5, 6), np.float32),
                                       ("pred_affinities", (3, 4, 5, 6), np.float32),
                                       ("pred_embedding", (10, 4, 5, 6), np.float32)):
                made = file.create_dataset(f"volumes/{name}", data=np.zeros(shape, dtype))
                made.attrs["resolution"], made.attrs["offset"] = (20, 9, 9), (40, 18, 18)
    return directory


def start(*command, cwd=ROOT) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *map(str, command)], cwd=cwd, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_each_serves_until_ctrl_c(container, snapshots) -> None:
    running = [start(DATA, "-f", container), start(RESULTS, "-f", container), start(*BATCH, cwd=snapshots)]
    try:
        for process in running:
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(url, timeout=30) as page:
                assert b"neuroglancer" in page.read()
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
            assert (output, errors, process.returncode) == ("", "interrupted\n", 130)
    finally:
        for process in running:
            process.kill()


@pytest.mark.parametrize(("command", "message"), [
    ((DATA, "-f", "absent.zarr"), "absent.zarr: no such file or directory"),
    ((DATA, "--datasets", "volumes/raw", "--file", "absent.zarr"), "--datasets volumes/raw: of which file? Name it before"),
    ((DATA, "--graphs", "absent.npz"), "absent.npz: no such file"),
    ((DATA, "--scale", "1000"), "--scale is of skeletons. Name them with --graphs"),
    ((DATA, "-d", "docs"), "docs: holds no zarr, N5 or HDF5"),
    ((RESULTS,), "nothing to show. Name a config, or containers with -f FILE"),
    ((RESULTS, "-f", "absent.zarr:volumes/raw"), "absent.zarr: no such file or directory"),
    (("view_batch.py",), "snapshots: holds no batch_<n>.hdf. Run train.py first"),
])
def test_mistakes(command, message, tmp_path) -> None:
    shutil.copy(ROOT / "02_train/synthetic/mtlsd/view_batch.py", tmp_path)  # where nothing was trained
    (tmp_path / "docs").mkdir()
    ended = run_script(*command, cwd=tmp_path)
    assert (ended.stdout, ended.returncode) == ("", 2)
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_several_files_with_their_datasets_and_skeletons(container, tmp_path) -> None:
    """As the tutorial's ``neuroglancer`` command is called; each layer is there, and the datasets belong to the file before."""
    skeletons = Skeletons.of([(500, 200, 200), (520, 200, 300)], [(0, 1)])
    write_skeletons(tmp_path / "traced.csv", skeletons)
    shutil.copytree(container, tmp_path / "other.zarr")
    command = ("--file", str(container), "--datasets", "volumes/raw", "volumes/labels/labels_mask",
               "--file", str(tmp_path / "other.zarr"), "--datasets", "volumes/segmentation",
               "--graphs", str(tmp_path / "traced.csv"),
               "--no-browser", "--host", "127.0.0.1", "--port", "0")
    views = view_data.collect(view_data.make_parser(None).parse_args(command), tmp_path)
    assert [(view.name, view.visible) for view in views] == [
        ("result raw", True), ("result labels_mask", False), ("other segmentation", True), ("traced", True)]
    assert views[2].volume.container == str(tmp_path / "other.zarr")
    assert views[3].skeletons.positions.tolist() == skeletons.positions.tolist()
    scaled = view_data.collect(view_data.make_parser(None).parse_args((*command, "--scale", "1000")), tmp_path)
    assert scaled[3].skeletons.positions.tolist() == (skeletons.positions * 1000).tolist()
    process = start(DATA, *command)
    try:
        assert process.stdout.readline().startswith("http://127.0.0.1:")
    finally:
        process.kill()
        process.communicate()


def test_the_challenges_container_is_known(tmp_path) -> None:
    names = ("training_raw", "training_gt_labels", "training_gt_labels_mask", "test_raw")
    for name in names:
        create_volume(tmp_path / "x.zarr", f"volumes/{name}", (2, 3, 4), (33, 33, 33), (0, 0, 0), "uint8")
    views = {view.name: (view.kind.value, view.visible) for view in view_data.data_views([str(tmp_path / "x.zarr")])}
    assert views == {"training_raw": ("raw", True), "training_gt_labels": ("labels", True),
                     "training_gt_labels_mask": ("mask", False), "test_raw": ("raw", False)}


def test_a_port_that_is_taken(container) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run_script(DATA, "-f", container, "--port", taken.getsockname()[1])
    assert (ended.stdout, ended.returncode) == ("", 2)
    assert "Name another --bind-address or --port" in ended.stderr


def test_what_view_data_shows(container, tmp_path) -> None:
    assert [(v.name, v.kind.value, v.visible) for v in view_data.data_views([str(container)])] == [
        ("raw", "raw", True), ("labels_mask", "mask", False)]
    shutil.copytree(container, tmp_path / "a.zarr")
    shutil.copytree(container, tmp_path / "b.zarr")
    containers = view_data.containers_in(tmp_path)
    assert containers == [str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr")]
    assert [v.name for v in view_data.data_views(containers)] == ["a raw", "a labels_mask", "b raw", "b labels_mask"]
    assert view_data.containers_in(tmp_path / "a.zarr") == [str(tmp_path / "a.zarr")]


@pytest.fixture
def directory(container, tmp_path) -> Path:
    """fetched/: 2.zarr, 10.zarr and more/3.zarr are volumes, 1.zarr is empty, other.h5 is no HDF5."""
    path = tmp_path / "fetched"
    for name in ("2.zarr", "10.zarr", "more/3.zarr", "10.zarr/.hidden/4.zarr", ".hidden/5.zarr"):
        shutil.copytree(container, path / name)
    (path / "1.zarr").mkdir()
    for name in ("other.h5", "more/notes.txt"):
        (path / name).write_text("text")
    return path


def test_a_directory_shows_all_below_it_and_the_first_is_visible(directory, caplog) -> None:
    found = [str(Path(path).relative_to(directory)) for path in view_data.containers_in(directory)]
    assert found == ["1.zarr", "2.zarr", "10.zarr", "more/3.zarr", "other.h5"]
    views = named_views([], [str(directory)])
    assert [(v.name, v.visible) for v in views] == [
        ("2 raw", True), ("2 labels_mask", False), ("10 raw", False), ("10 labels_mask", False), ("3 raw", False),
        ("3 labels_mask", False)]
    named = [record.getMessage().split(":")[1].strip() for record in caplog.records]
    assert named == [str(directory / "1.zarr"), str(directory / "other.h5")]


def test_what_is_named_is_visible_and_must_be_right(directory) -> None:
    volumes = [str(directory / name) for name in ("2.zarr", "10.zarr")]
    assert [v.name for v in named_views(volumes, []) if v.visible] == ["2 raw", "10 raw"]
    assert [v.name for v in named_views(volumes[:1], [volumes[1]]) if v.visible] == ["2 raw", "10 raw"]
    assert [v.name for v in named_views([], volumes[:1])] == ["raw", "labels_mask"]
    with pytest.raises(UserError, match=r"1\.zarr: a directory, but neither zarr, N5 nor precomputed"):
        named_views([str(directory / "1.zarr")], [])
    shutil.rmtree(directory / "2.zarr")
    shutil.rmtree(directory / "10.zarr")
    shutil.rmtree(directory / "more")
    with pytest.raises(UserError, match="none of the 2 containers in it can be shown"):
        named_views([], [str(directory)])


def test_a_crop_is_shown_where_it_is(container, tmp_path) -> None:
    crop = tmp_path / "crop.json"
    crop.write_text(json.dumps({"container": str(container), "offset": [480, 120, 176], "size": [80, 100, 80]}))
    views = named_views([str(crop)], [])
    assert [v.name for v in views] == ["raw", "labels_mask"]
    assert {(v.volume.shape, v.volume.offset) for v in views} == {((2, 10, 10), (480, 120, 176))}
    assert len(view_results.result_views([str(crop)])) == 5
    assert [v.volume.shape for v in view_results.result_views([f"{crop}:volumes/affs"])] == [(2, 10, 10)]


def test_what_view_batch_shows(snapshots) -> None:
    assert view_batch.newest(snapshots) == str(snapshots / "snapshots/batch_401.hdf")
    views = view_batch.batch_views([view_batch.newest(snapshots)])
    assert [(v.name, v.visible) for v in views] == [
        ("raw", True), ("neuron_ids", False), ("gt_affinities", False), ("pred_affinities", True), ("pred_embedding", False),
        ("mask", False)]
    both = view_batch.batch_views([str(path) for path in sorted((snapshots / "snapshots").iterdir())])
    assert [v.name for v in both if v.name.endswith("raw")] == ["batch_1 raw", "batch_401 raw"]


def test_what_view_results_shows(container) -> None:
    names = ["raw", "affs", "lsds", "segmentation", "labels_mask"]
    views = view_results.result_views([str(container), f"{container}:volumes/raw"])
    assert [v.name for v in views] == names
    assert [v.name for v in views if v.visible] == ["raw", "segmentation"]
    only = view_results.result_views([f"{container}:volumes/affs"])
    assert [v.volume.name for v in only] == [open_volume(container, "volumes/affs").name]
    with pytest.raises(UserError, match=r"no dataset 'volumes/nothing'"):
        view_results.result_views([f"{container}:volumes/nothing"])


def test_the_newest_segmentation_is_visible(tmp_path) -> None:
    """``threshold = "best"`` may leave segmentations of former thresholds behind; names do not tell which is which."""
    path = tmp_path / "results.zarr"
    for name, date in (("segmentation_40", "2024-01-01"), ("segmentation_54", "2024-03-01"), ("segmentation_60", "2024-02-01")):
        create_volume(path, f"volumes/{name}", (4, 5, 6), (40, 10, 4.6), (0, 0, 0), "uint64", attrs={"finished": date})
    assert [v.name for v in view_results.result_views([str(path)]) if v.visible] == ["segmentation_54"]


def test_a_config_names_what_its_stages_read_and_made(container, tmp_path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"""
        out_file = "{container}"
        raw_file = "raw.zarr"
        fragments = {{ affs_file = "affs.zarr", fragments_in_xy = false }}
        evaluate = {{ labels_file = "labels.zarr" }}
    """)
    assert view_results.config_names(str(config)) == [
        f"{tmp_path}/raw.zarr:volumes/raw", str(container), f"{tmp_path}/affs.zarr:volumes/affs",
        f"{tmp_path}/labels.zarr:volumes/labels/neuron_ids"]
    config.write_text(config.read_text().replace("affs_file", "afs_file"))
    with pytest.raises(UserError, match=r"config.toml: unknown key 'fragments.afs_file'; did you mean 'affs_file'"):
        view_results.config_names(str(config))
