"""What servers and workers are forks of, and that they are as new processes are; see site/engine_factories.py."""

import importlib
import json
import os
import re
import signal
import socket
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from lsd_experiments.blockwise import BlocksFailedError, Workers, run_blockwise, templates
from lsd_experiments.blockwise.template import IMPORTS
from lsd_experiments.blockwise.templates import Template
from tests.blockwise.running import alive, wait_for
from tests.blockwise.test_launch import expected
from tests.scripts import ROOT, environment, run_script

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
    assert not any(each["left"] or each["frameworks"] or each["loop"] for each in first + second)
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


@pytest.fixture
def umask_is_kept():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize("change", [lambda patch: patch.setenv("OMP_NUM_THREADS", "3"), lambda patch: os.umask(0o027),
                                    lambda patch: patch.setenv("SCIPY_ARRAY_API", "3")],
                         ids=["OMP_NUM_THREADS", "umask", "SCIPY_ARRAY_API"])
def test_what_is_read_at_the_start_of_a_process_takes_another_template(make_task, monkeypatch, umask_is_kept, change):
    task, _ = make_task("fill")
    run_blockwise(task)
    before = template()
    change(monkeypatch)
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


@pytest.fixture
def own_template():
    """None that was there before; what the test leaves ends."""
    before, Template.idle[:] = Template.idle[:], []
    yield
    while Template.idle:
        Template.idle.pop().end()
    Template.idle[:] = before


def test_a_template_whose_command_has_many_files_open_or_ignores_its_children(make_task, own_template, monkeypatch):
    task, array = make_task("die", num_workers=1, blocks=[2])
    pair = socket.socketpair

    def far():
        for each in (found := pair()):
            os.dup2(each.fileno(), each.fileno() + 1500, inheritable=False)
        far_away = [socket.socket(fileno=each.fileno() + 1500) for each in found]
        [each.close() for each in found]
        return far_away
    monkeypatch.setattr(socket, "socketpair", far)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as who started the command may have it; inherited
    try:
        run_blockwise(task)
    finally:
        signal.signal(signal.SIGCHLD, before)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


def test_what_a_stage_shares_need_not_be_there(make_task, own_template):
    task, array = make_task("fill")
    run_blockwise(replace(task, imports=("lsd_experiments.engine_broken", "lsd_experiments.not_there")))
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


@pytest.mark.parametrize("where", ["idle", "at work"])
def test_ctrl_c_ends_a_run_whose_template_is_stopped(make_task, tmp_path, own_template, monkeypatch, where):
    task, _ = make_task("slow")
    run_blockwise(replace(task, factory=task.factory.replace("slow", "fill"), records=tmp_path / "others"))
    monkeypatch.setattr(templates, "PATIENCE", 0.2)
    stopped, before = template(), signal.signal(signal.SIGINT, signal.default_int_handler)

    def stop():
        if where == "at work":
            wait_for(lambda: len(list(tmp_path.glob("stuck_*"))) == 2)
            os.kill(stopped, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGINT)
    if where == "idle":
        os.kill(stopped, signal.SIGSTOP)
    thread = threading.Timer(0.3, stop)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_blockwise(task)
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()
    assert not alive(stopped)
    assert not Template.idle
    wait_for(lambda: not any(alive(path.read_text()) for path in tmp_path.glob("stuck_*")))


def test_the_log_says_that_a_template_could_not_begin(make_task, own_template, monkeypatch):
    task, _ = make_task("fill")
    monkeypatch.setattr(templates, "MODULE", "lsd_experiments.not_there")
    with pytest.raises(BlocksFailedError, match="daisy failed"):
        run_blockwise(task)
    assert re.search(r"process \d+, which forks schedulers, has ended", (task.records / "logs" / "server.log").read_text())


def test_what_workers_share_is_no_framework_and_starts_no_thread():
    """Forks of a process that has computed with one hang."""
    found = {path.relative_to(ROOT / "lsd_experiments").with_suffix("").as_posix().replace("/", ".")
             for path in (ROOT / "lsd_experiments").rglob("*.py")
             if "BlockTask(" in (text := path.read_text()) and re.search(r"\bimports=", text)}
    assert found == set(STAGES)
    names = [*IMPORTS, "lsd_experiments.blockwise.server"]
    for stage in STAGES:
        module = importlib.import_module(f"lsd_experiments.{stage}")
        names += [module.__name__, *getattr(module, "IMPORTS", ())]
    code = ("import importlib, os, sys; [importlib.import_module(name) for name in sys.argv[1:]]; "
            f"print(len(os.listdir('/proc/self/task')), {UNSHARED} & {{*sys.modules}})")
    done = run_script("-c", code, *names, env={**environment(), "OPENBLAS_NUM_THREADS": "1"}, fresh=True)  # its own end at a fork
    assert (done.returncode, done.stdout) == (0, "1 set()\n"), done.stderr
