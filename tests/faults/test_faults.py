"""A full disk, damaged and missing chunks, a database that goes away."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.rag.session import RETRY_VARIABLE
from tests import disks, secrets
from tests.faults.comparing import compare_files, compare_graphs, read_graph
from tests.faults.databases import open_database
from tests.faults.running import DELAYS, Progress, Run, wait_until
from tests.faults.scene import CHUNKS, write_config
from tests.rag.cluster import PASSWORD, missing

pytestmark = pytest.mark.kills

SOME = 5  # blocks that are done before something happens


def assert_same(reference, directory, graph=None, without="no such part"):
    """That the run in ``directory`` made what the undisturbed one made, but for names with the part ``without``."""
    assert not [line for line in compare_files(reference, directory) if without not in line]
    assert not compare_graphs(read_graph(str(reference / "out.db")), graph or read_graph(str(directory / "out.db")))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 20 MB."""
    with disks.small_disk(tmp_path / "disk", "20m") as disk:
        yield disk


def fill(disk: Path) -> Path:
    """A file that takes all that is left of ``disk``."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            with suppress(OSError):  # full
                while True:
                    file.write(b"\0" * size)
    return filler


@pytest.mark.parametrize("stage", ["predict", "extract_fragments", "agglomerate", "extract_segmentation"])
def test_a_disk_that_is_full_in_mid_write(scene, reference, small_disk, tmp_path, stage):
    """The run says so in one line; after making room it goes on. The region graph, all that agglomerate writes, is there, too."""
    directory = small_disk / "out"
    config = write_config(directory, scene, affs=None if stage == "predict" else reference / "out.zarr")
    progress = Progress(directory / "out.zarr")
    run = Run(config, tmp_path / "full.log", delays=DELAYS)
    assert wait_until(lambda: progress.done(stage) >= SOME, run), run.text()
    filler = fill(small_disk)
    assert run.wait() in (1, 2), run.text()
    assert "space" in run.error().lower() or "full" in run.error().lower()
    assert SOME <= progress.done(stage) <= progress.total(stage)  # all, if only what notes that all are done had no room

    filler.unlink()
    run = Run(config, tmp_path / "room.log")
    assert run.wait() == 0, run.text()
    assert_same(reference, directory, without="none" if stage == "predict" else "/affs/")


def truncate(chunk: Path) -> bytes:
    """Cut ``chunk`` in half; what it was."""
    content = chunk.read_bytes()
    chunk.write_bytes(content[:len(content) // 2])
    return content


@pytest.mark.parametrize("what", ["raw", "affs"])
def test_a_truncated_chunk_of_the_input_is_named(scene, reference, tmp_path, what):
    """It is refused before anything is made: small inputs are read, and of what was predicted each chunk is on record."""
    directory = tmp_path / "damaged"
    if what == "raw":
        place = shutil.copytree(scene / "raw.zarr", tmp_path / "raw.zarr")
        config, made, number = write_config(directory, scene, raw=place), "affs", "1.1.0"
    else:
        place = tmp_path / "affs.zarr"
        shutil.copytree(reference / "out.zarr" / "volumes" / "affs", place / "volumes" / "affs")
        shutil.copy(reference / "out.zarr" / ".zgroup", place)
        config, made, number = write_config(directory, scene, affs=place), "fragments", "0.2.1.0"
    chunk = place / "volumes" / what / number
    before = truncate(chunk)
    run = Run(config, tmp_path / "log")
    assert run.wait() == 2, run.text()
    assert f"{place}:volumes/{what}: chunk {number} " in run.text()
    assert "Traceback" not in run.text()
    assert not (directory / "out.zarr" / "volumes" / made).exists()

    chunk.write_bytes(before)
    run = Run(config, tmp_path / "log")
    assert run.wait() == 0, run.text()
    assert_same(reference, directory, without="none" if what == "raw" else "/affs/")


def test_a_chunk_that_is_not_there_is_zeros(scene, reference, tmp_path):
    """So zarr defines it: volumes leave out what is empty. Negative control: with the chunk the prediction is another one."""
    made = {}
    for name in ("removed", "zeros"):
        place = shutil.copytree(scene / "raw.zarr", tmp_path / f"{name}.zarr")
        if name == "removed":
            (place / "volumes" / "raw" / "1.1.0").unlink()
        else:
            volume = open_volume(str(place), "volumes/raw", writable=True)
            volume.array[tuple(slice(n * c, (n + 1) * c) for n, c in zip((1, 1, 0), CHUNKS, strict=True))] = 0
        run = Run(write_config(tmp_path / name, scene, raw=place), tmp_path / "log", "predict")
        assert run.wait() == 0, run.text()
        made[name] = open_volume(str(tmp_path / name / "out.zarr"), "volumes/affs").read()
    np.testing.assert_array_equal(made["removed"], made["zeros"])
    assert (made["removed"] != open_volume(str(reference / "out.zarr"), "volumes/affs").read()).any()


@pytest.mark.parametrize("returns", [True, False], ids=["and returns", "for long"])
@pytest.mark.parametrize("stage", ["extract_fragments", "agglomerate"])
def test_a_database_that_goes_away(scene, reference, tmp_path, stage, returns):
    """The run waits for it; at last it ends with a line that says so, and a rerun goes on. Its password is nowhere."""
    if missing():
        pytest.skip(missing())
    directory = tmp_path / "out"
    with open_database("postgresql") as database:
        config = write_config(directory, scene, database.config(directory), affs=reference / "out.zarr")
        progress = Progress(directory / "out.zarr")
        run = Run(config, tmp_path / "away.log", delays=DELAYS, **({} if returns else {RETRY_VARIABLE: "3"}))
        assert wait_until(lambda: progress.done(stage) >= SOME, run), run.text()
        assert progress.done(stage) < progress.total(stage), "too late"
        commands = run.commands()
        database.server.stop()
        if returns:
            time.sleep(2)
            database.server.restart()
        status = run.wait()
        if returns:
            assert status == 0, run.text()
        else:
            assert status == 2, run.text()
            assert "did not answer for 3 s" in run.error()
            database.server.restart()
        run = Run(config, tmp_path / "again.log")
        assert run.wait() == 0, run.text()
        graph = database.graph(directory)
        assert_same(reference, directory, graph, without="/affs/")
    assert secrets.told([tmp_path], PASSWORD) == [config]  # where the user wrote it
    assert PASSWORD not in f"{graph} {commands}"


def test_a_run_keeps_the_secrets_of_its_environment(reference):
    """Prediction by workers, and all stages after it: outputs, records, logs, the region graph and what is printed."""
    files = [reference.with_suffix(".log"), *reference.rglob("*")]
    assert {"task.json", "out.db", ".zattrs", "reference.log"} <= {path.name for path in files}  # what is searched is there
    assert secrets.told([reference, reference.with_suffix(".log")]) == []
