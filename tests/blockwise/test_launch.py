"""Workers with a prefix, in a container, on GPUs, in threads; the block functions are in site/engine_factories.py."""

import json
import os
import re
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lsd_experiments
from lsd_experiments.blockwise import BlocksFailedError, Workers, run_blockwise
from lsd_experiments.blockwise.launch import container
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from tests.blockwise.running import program

APPTAINER = """
import os, sys
words = sys.argv[1:]
assert words[0] == "exec", words
binds = []
rest = words[1:]
while rest[0] == "--bind":
    binds.append(rest[1])
    rest = rest[2:]
assert {{{records!r}, {package!r}, "/data:/data"}} == set(binds), binds
assert rest[:3] == [{image!r}, "python", "-m"], rest
os.environ["IN_CONTAINER"] = "yes"
os.execv(sys.executable, [sys.executable, *rest[2:]])
"""


def expected(shape, write_shape):
    """Each voxel's block number + 1."""
    array = np.zeros(shape, np.int32)
    for number, box in enumerate(Box.of_shape(shape).blocks(write_shape)):
        array[box.intersect(Box.of_shape(shape)).slices] = number + 1
    return array


def notes(directory):
    return [path.read_text().split() for path in directory.glob("by_*")]


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "bin"


@pytest.mark.parametrize(("prefix", "nicer"), [((), 0), (("nice", "-n", "5"), 5)])
def test_prefix(make_task, tmp_path, prefix, nicer):
    task, array = make_task("nice", workers=Workers(num_workers=2, prefix=prefix))
    run_blockwise(task)
    assert array.all()
    assert {int(note[0]) for note in notes(tmp_path)} == {os.nice(0) + nicer}


def test_an_address_of_ipv6(make_task):
    task, array = make_task("fill", workers=Workers(num_workers=2, host="::1"))
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        with pytest.raises(UserError, match="host = ::1 is no address of this machine"):
            run_blockwise(task)
    else:
        run_blockwise(task)
        np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


def test_a_prefix_that_is_no_program_and_one_that_fails(make_task):
    task, _ = make_task("nice", workers=Workers(num_workers=1, prefix=("no-such-program",)))
    with pytest.raises(UserError, match="prefix begins with no-such-program, which is no program"):
        run_blockwise(task)
    task, _ = make_task("nice", workers=Workers(num_workers=1, prefix=("false",), max_start_failures=1))
    with pytest.raises(BlocksFailedError, match=r"the worker's command \(false \S+python\S* .*\) ended with status 1"):
        run_blockwise(task)
    task, _ = make_task("nice", workers=Workers(num_workers=1, prefix=("true",), max_start_failures=1))
    with pytest.raises(BlocksFailedError, match=r"the worker ended, with status 0, before its work was done"):
        run_blockwise(task)


def test_image(make_task, tmp_path, on_path):
    image = tmp_path / "an image.sif"
    image.touch()
    program(on_path, "apptainer", APPTAINER.format(records=str(tmp_path / "records"), image=str(image),
                                                    package=str(Path(lsd_experiments.__file__).parent)))
    task, array = make_task("nice", workers=Workers(num_workers=1, image=str(image), binds=("/data:/data",)))
    run_blockwise(task)
    assert array.all()
    assert {note[2] for note in notes(tmp_path)} == {"yes"}


def test_image_that_is_missing_and_one_that_does_not_start(make_task, tmp_path, on_path, monkeypatch):
    task, _ = make_task("nice", workers=Workers(num_workers=1, image=str(tmp_path / "a.sif")))
    with pytest.raises(UserError, match=r"image = .*a\.sif: not there\. Build it"):
        run_blockwise(task)
    (tmp_path / "a.sif").touch()
    with monkeypatch.context() as changed:
        changed.setenv("PATH", str(tmp_path))
        with pytest.raises(UserError, match="an image needs the program apptainer"):
            run_blockwise(task)
    program(on_path, "apptainer", "raise SystemExit('FATAL: could not open image')")
    with pytest.raises(BlocksFailedError) as caught:
        run_blockwise(task)
    said = str(caught.value)  # a fourth worker may have begun before the third one's death was counted
    assert re.search(r"[34] workers died one after the other without a block done in between\. The last words in ", said), said
    assert f"{task.records}/logs/a_stage/worker_0.err:\n" in said
    assert "\n    FATAL: could not open image\n" in said, said


def test_gpu_stages_get_the_driver_in_their_container():
    values = Workers(image="a.sif", gpus=1).model_dump()
    assert container(values, ["/r"]) == ["apptainer", "exec", "--nv", "--bind", "/r", "a.sif"]


def test_each_worker_has_its_gpu(make_task, tmp_path, on_path, monkeypatch):
    """Also the one that takes the place of one that was killed."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program(on_path, "nvidia-smi", "print('GPU 0: A (UUID: GPU-1)')\nprint('GPU 1: A (UUID: GPU-2)')\n")
    task, array = make_task("with_gpu", workers=Workers(gpus=1, cpus=1, num_workers=2))
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert {path.name for path in tmp_path.glob("gpu_*")} == {"gpu_0", "gpu_1"}
    assert (tmp_path / "died").exists()


def test_threads_work_on_blocks_at_a_time(make_task):
    task, array = make_task("together", num_workers=1, threads=3)
    run_blockwise(replace(task, threads=3))
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


def test_progress_is_told(make_task):
    task, _ = make_task("fill")
    states = []
    run_blockwise(task, states.append)
    assert states[-1] == json.loads((task.records / "progress.json").read_text())
    last = {key: states[-1][key] for key in ("name", "total", "completed", "skipped", "failed", "running", "workers", "ended")}
    assert last == {"name": "a_stage", "total": 9, "completed": 9, "skipped": 0, "failed": 0, "running": 0, "workers": 0,
                    "ended": True}
    assert states[-1]["started"] <= states[-1]["updated"]
    run_blockwise(task, states.append)
    assert states[-1]["skipped"] == 9


def test_what_workers_are_told_holds_no_secret(make_task):
    task, _ = make_task("fill")
    run_blockwise(replace(task, environment={"PGPASSWORD": "s3cret"}))
    kept = [path for path in task.records.rglob("*") if path.is_file()]
    assert task.records / "task.json" in kept
    assert not any(b"s3cret" in path.read_bytes() for path in kept)
