"""What servers and workers are forks of, and that they are as new processes are; see site/engine_factories.py."""

import importlib
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from lsd_experiments.blockwise import BlocksFailedError, Workers, run_blockwise
from lsd_experiments.blockwise.template import IMPORTS
from lsd_experiments.blockwise.templates import Template
from tests.blockwise.test_launch import expected
from tests.scripts import run_script

STAGES = ("agglomeration.blockwise", "components.blockwise", "conversion.making", "fragments.blockwise", "prediction.blockwise",
          "segmentation.blockwise", "thresholding.blockwise")  # those that name what their workers share
UNSHARED = {"tensorflow", "torch", "jax", "keras", "gunpowder", "tensorstore"}


def workers(directory):
    """What they noted, by ``look``; removed."""
    found = [json.loads(path.read_text()) for path in directory.glob("worker_*")]
    for path in directory.glob("worker_*"):
        path.unlink()
    return found


def template():
    """The only process that is left of those that this one's runs had."""
    left, = [each for each in Template.idle if each.owner == os.getpid()]
    assert not psutil.Process(left.pid).children()
    return left.pid


def test_runs_share_a_template_and_nothing_else(make_task, tmp_path, monkeypatch):
    task, array = make_task("look", num_workers=2)
    monkeypatch.setenv("AN_ARGUMENT", "first")
    run_blockwise(task)
    first, before = workers(tmp_path), template()
    monkeypatch.setenv("AN_ARGUMENT", "second")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run_blockwise(replace(task, records=tmp_path / "others"))
    second = workers(tmp_path)
    np.testing.assert_array_equal(array, 2 * expected(array.shape, task.write_shape))
    assert template() == before
    assert {each["argument"] for each in first} == {"first"}
    assert {(each["argument"], each["cwd"]) for each in second} == {("second", str(tmp_path / "elsewhere"))}
    assert not any(each["left"] or each["frameworks"] for each in first + second)
    assert len({value for each in first + second for value in each["random"]}) == 2 * len(first + second)
    assert all(each["group"] == each["server"] for each in first + second)  # which is killed as a whole
    assert len({each["server"] for each in first + second}) == 2


def test_a_worker_has_no_descriptor_of_its_server(make_task, tmp_path):
    """Its lock, the lines of other workers and its listener: what is open elsewhere does not close when it ends."""
    task, _ = make_task("look", num_workers=3)
    run_blockwise(task)
    for each in workers(tmp_path):
        streams = [each["open"].pop(number) for number in "012"]
        assert streams[0] == "/dev/null"
        assert [Path(stream).parent for stream in streams[1:]] == 2 * [task.records / "logs" / "a_stage"]
        assert sorted(place.split(":")[0] for place in each["open"].values()) == ["socket"], each  # and its own line
    assert list(tmp_path.glob("left_*"))  # what is to be done at exit was done


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "PYTHONHASHSEED"])
def test_what_is_read_at_the_start_of_a_process_takes_another_template(make_task, monkeypatch, name):
    task, _ = make_task("fill")
    run_blockwise(task)
    before = template()
    monkeypatch.setenv(name, "3")
    run_blockwise(replace(task, records=task.records / "others"))
    assert template() != before
    assert not psutil.pid_exists(before)


def test_a_template_that_is_killed_ends_its_run_and_the_next_one_has_another(make_task, tmp_path):
    task, array = make_task("kill_template", workers=Workers(num_workers=1))
    run_blockwise(replace(task, factory=task.factory.replace("kill_template", "fill")))  # it is there before
    os.kill(template(), signal.SIGKILL)
    array[:] = 0
    task = replace(task, records=tmp_path / "others")
    with pytest.raises(BlocksFailedError, match=r"^a_stage: daisy failed \(see \S+/server\.log\)"):
        run_blockwise(task)
    assert not [each for each in Template.idle if each.owner == os.getpid()]
    run_blockwise(replace(task, factory=task.factory.replace("kill_template", "fill")))
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


def test_what_workers_share_is_no_framework_and_starts_no_thread():
    """Forks of a process that has computed with one hang."""
    names = [*IMPORTS, "lsd_experiments.blockwise.server"]
    for stage in STAGES:
        module = importlib.import_module(f"lsd_experiments.{stage}")
        names += [module.__name__, *getattr(module, "IMPORTS", ())]
    code = ("import importlib, sys, threading; [importlib.import_module(name) for name in sys.argv[1:]]; "
            f"print(threading.active_count(), {UNSHARED} & {{*sys.modules}})")
    done = run_script("-c", code, *names, fresh=True)  # the one that forks scripts has tensorstore
    assert (done.returncode, done.stdout) == (0, "1 set()\n"), done.stderr
