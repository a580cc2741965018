"""A run on one host, its workers on another one (see hosts.py)."""

import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.blockwise import hosts as hosts_module
from tests.blockwise.hosts import ADDRESSES, two_hosts
from tests.blockwise.running import alive, command, start, stuck, wait_for
from tests.blockwise.test_launch import expected, notes

MISSING = hosts_module.missing()
pytestmark = [pytest.mark.cluster, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]

STRANGER = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
connection.sendall(sys.argv[3].encode())
print(len(connection.recv(100)))
"""


@pytest.fixture
def hosts():
    with two_hosts() as both:
        yield both


def run(hosts, task, function, host=ADDRESSES[0], **options):
    """Start a run on the first host, with two workers on the second."""
    words = command(task.settings["path"], function, host=host, prefix=hosts.on_second([]))
    return start(hosts.on_first(words), **options)


def listening(hosts):
    """Where something listens on the first host."""
    listed = subprocess.run(hosts.on_first(["ss", "--listening", "--tcp", "--numeric", "--no-header"]), capture_output=True,
                            text=True, check=True)
    return [line.split()[3] for line in listed.stdout.splitlines()]


def test_workers_on_another_host(make_task, hosts, tmp_path):
    task, array = make_task("fill")
    process = run(hosts, task, "nice")
    assert process.wait(timeout=60) == 0
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    where = subprocess.run(hosts.on_second(["readlink", "/proc/self/ns/net"]), capture_output=True, text=True, check=True)
    assert {note[1] for note in notes(tmp_path)} == {where.stdout.strip()}


def test_what_listens_where_and_to_whom(make_task, hosts, tmp_path):
    task, _ = make_task("fill")
    process = run(hosts, task, "slow_until_released")
    wait_for(lambda: len(stuck(tmp_path)) == 2)
    places = listening(hosts)
    assert [place.rpartition(":")[0] for place in places] == [ADDRESSES[0]]
    for port in (place.rpartition(":")[2] for place in places if place.startswith(ADDRESSES[0])):
        for said in ("\n", "x" * 1000 + "\n", '{"token": "guess", "worker": "0", "port": 1}\n'):  # no worker came from this host
            answer = subprocess.run(hosts.on_first([sys.executable, "-c", STRANGER, ADDRESSES[0], port, said]),
                                    capture_output=True, text=True, timeout=60, check=False)
            assert answer.stdout in ("0\n", "")  # hung up, or refused to talk
    (tmp_path / "go").touch()
    assert process.wait(timeout=60) == 0


def test_a_scheduler_of_one_machine_is_out_of_reach(make_task, hosts):
    task, array = make_task("fill")
    process = run(hosts, task, "fill", host="127.0.0.1", stderr=subprocess.PIPE)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "workers died one after the other without a block done in between" in said
    assert "ConnectionError: no scheduler at 127.0.0.1:" in said
    assert not array.any()


def test_a_cable_that_is_pulled_out(make_task, hosts, tmp_path, monkeypatch):
    monkeypatch.setenv("LSD_LIFELINE_SILENCE", "3")
    task, array = make_task("fill")
    process = run(hosts, task, "slow_until_released")
    wait_for(lambda: len(stuck(tmp_path)) == 2)
    workers = stuck(tmp_path)
    hosts.cable("down")
    wait_for(lambda: not any(alive(worker) for worker in workers))
    (tmp_path / "go").touch()
    assert process.poll() is None
    assert not array.any()
    hosts.cable("up")
    assert process.wait(timeout=60) == 0
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert any(int(note[0]) not in workers for note in notes(tmp_path))


def test_a_host_name_would_do(hosts):
    """The address in these tests is none of this machine itself."""
    with pytest.raises(OSError, match=r"assign|unreachable"), socket.create_server((ADDRESSES[0], 0)):
        pass
