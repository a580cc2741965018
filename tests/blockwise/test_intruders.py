"""Processes that know where a run listens, but not its token; and what counts as done."""

import json
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import psutil
import pytest

from lsd_experiments.blockwise import Workers, run_blockwise
from lsd_experiments.blockwise.dispatch import Dispatch
from lsd_experiments.blockwise.heartbeat import Clock
from lsd_experiments.blockwise.schedule import Schedule
from tests.blockwise.running import command, processes_with, start, stuck, wait_for
from tests.blockwise.test_engine import spec_of
from tests.blockwise.test_launch import expected

DAISY = """
import sys, threading, daisy.v2 as daisy
def take():
    client = daisy.Client(daisy.Context(hostname="127.0.0.1", port=sys.argv[1], task_id=sys.argv[2], worker_id=0))
    while True:
        with client.acquire_block() as block:
            if block is None:
                return print("none")
            print("block", flush=True)
for number in range(3):
    threading.Thread(target=take, daemon=True).start()
import time; time.sleep(3)
"""
WORDS = ["", "\n", "[]\n", "null\n", "5\n", "[" * 60000 + "\n", "x" * 10**6, '{"token": 5, "worker": "0.0"}\n',
         '{"token": "é"}\n', '{"worker": "0.0"}\n', '{"token": "", "worker": "0.0"}\n',
         '{"token": "00", "worker": "0.0"}\n{"done": 3, "thread": 0}\n',
         '{"wants": true, "thread": 0}\n', "GET / HTTP/1.1\n\n"]


def ports(process):
    """All on which the processes of a run listen."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return {each.laddr.port for member in family for each in member.net_connections() if each.status == psutil.CONN_LISTEN}


def answer(port, text):
    """What comes back, until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(text.encode())
            return connection.recv(100)
        except (ConnectionError, TimeoutError) as error:
            return error


def test_without_the_token_nothing_is_got_and_nothing_counts(make_task, tmp_path):
    task, array = make_task("fill")
    process = start(command(task.settings["path"], "slow_until_released"))
    wait_for(lambda: len(stuck(tmp_path)) == 2)
    port, = ports(process)
    token = (tmp_path / "token").read_text()
    assert not processes_with(token)  # where others of this user could read it
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]  # they do not occupy a worker's place
    got = subprocess.run([sys.executable, "-c", DAISY, str(port), "a_stage"], capture_output=True, text=True, timeout=60)
    assert "block" not in got.stdout, got
    for words in WORDS[1:]:
        assert not isinstance(answer(port, words), bytes) or answer(port, words) == b"", words
    for name in ("0.0", "0.1", "7.0", ""):  # who has the token is no worker that is expected, or that is there already
        assert answer(port, json.dumps({"token": token, "worker": name}) + "\n") == b"", name
    assert not array.any()
    assert json.loads((task.records / "progress.json").read_text())["completed"] == 0
    (tmp_path / "go").touch()
    assert process.wait(timeout=60) == 0
    for connection in silent:
        connection.close()
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


class Line:
    """A worker's, as the server has it."""

    def __init__(self, worker):
        self.worker, self.hello, self.said, self.is_cut = worker, {}, [], False

    def say(self, message):
        self.said.append(message)

    def cut(self):
        self.is_cut = True


class Slot:
    """What the dispatch knows of a worker's process."""

    def __init__(self, name):
        self.name, self.line, self.blocks, self.told, self.lost, self.heard = name, None, {}, False, None, 0


class Silent:
    """A monitor."""

    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.fixture
def dispatch(tmp_path):
    (tmp_path / "failed").mkdir()
    spec = replace(spec_of(tmp_path), end=(1, 2, 4))  # 1 x 1 x 2 blocks
    return Dispatch(Schedule(spec), Silent(), Clock(1), threads=1)


def worker(dispatch, name):
    slot, line = Slot(name), Line(name)
    dispatch.expect(slot)
    assert dispatch.came(line)
    return slot, line


def done(tmp_path):
    return (tmp_path / "done" / "done" / "c" / "0" / "0" / "0").read_bytes()


def test_a_block_counts_once_and_only_from_the_worker_that_has_it(dispatch, tmp_path):
    (_, a), (_, b) = worker(dispatch, "0.0"), worker(dispatch, "1.0")
    assert not dispatch.came(Line("0.0"))  # that name is taken
    assert not dispatch.came(Line("2.0"))  # and that one is not expected
    dispatch.said(a, {"wants": True, "thread": 0})
    block = a.said[-1]["block"]
    for stranger in (b, Line("0.0"), Line("9.9")):
        dispatch.said(stranger, {"done": block, "thread": 0})
        dispatch.said(stranger, {"failed": block, "thread": 0})
    dispatch.said(a, {"done": 1 - block, "thread": 0})  # it has not got that one
    assert done(tmp_path) == b"\0\0"
    dispatch.said(a, {"done": block, "thread": 0})
    dispatch.said(a, {"done": block, "thread": 0})
    assert sum(done(tmp_path)) == 1
    dispatch.said(b, {"wants": True, "thread": 0})
    assert b.said[-1]["block"] == 1 - block
    assert not dispatch.over.is_set()
    dispatch.said(b, {"done": 1 - block, "thread": 0})
    dispatch.said(b, {"wants": True, "thread": 0})
    assert b.said[-1]["block"] is None
    assert dispatch.over.is_set()


def test_a_worker_that_was_given_up_counts_no_more(dispatch, tmp_path):
    (slot, a), (_, b) = worker(dispatch, "0.0"), worker(dispatch, "1.0")
    dispatch.said(a, {"wants": True, "thread": 0})
    dispatch.give_up(slot, "frozen")
    assert a.is_cut
    block = a.said[-1]["block"]
    dispatch.said(a, {"done": block, "thread": 0})
    dispatch.went(a)
    assert sum(done(tmp_path)) == 0
    for _ in range(2):  # the other one comes before it
        dispatch.said(b, {"wants": True, "thread": 0})
        dispatch.said(b, {"done": b.said[-1]["block"], "thread": 0})
    assert b.said[-1]["block"] == block
    assert done(tmp_path) == b"\1\1"


def test_who_waits_gets_the_block_of_one_that_dies(dispatch):
    lines = [worker(dispatch, f"{number}.0")[1] for number in range(3)]
    for line in lines:
        dispatch.said(line, {"wants": True, "thread": 0})
    assert not lines[2].said
    dispatch.went(lines[0])
    assert lines[2].said == [{"thread": 0, "block": lines[0].said[0]["block"]}]


def test_records_that_daisy_wrote_count_and_those_of_other_blocks_do_not(make_task):
    task, array = make_task("fill", workers=Workers(num_workers=1))
    run_blockwise(task)
    (task.records / "done" / "done" / "zarr.json").write_text(json.dumps(json.loads(
        (task.records / "done" / "done" / "zarr.json").read_text()), indent=2))
    (task.records / "done" / "done" / "c" / "0" / "0" / "0").write_bytes(b"\1\1\0\1\1\1\1\1\1")
    run_blockwise(task)
    right = expected(array.shape, task.write_shape)
    np.testing.assert_array_equal(array, np.where(right == 3, 6, right))
    other = replace(task, write_shape=(4, 4, 6))
    array[:] = 0
    run_blockwise(other)
    np.testing.assert_array_equal(array, expected(array.shape, other.write_shape))
    assert "is of other blocks: all are done again" in (task.records / "logs" / "server.log").read_text()
