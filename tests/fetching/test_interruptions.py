"""Kills, Ctrl-C, full disks and no network: real processes that end by themselves, and leave what the next run goes on from."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.fetching import s3
from lsd_experiments.locks import only_run
from tests import disks
from tests.fetching.conftest import ROOT, files, holding
from tests.scripts import run_script

TRAINING = "funke/fib25/training"
HELD = 786_432  # bytes of whole chunks in the million that passes


@pytest.fixture(scope="module")
def content(bucket) -> bytes:
    """The one large object of big.zarr."""
    content = np.random.default_rng(0).bytes(2_000_000)
    bucket.put(f"{TRAINING}/big.zarr/raw", content)
    bucket.put(f"{TRAINING}/big.zarr/.zgroup", b"{}")
    return content


@pytest.fixture
def gate(proxy):
    """Opens for the rest of an object after its first million bytes."""
    with holding(proxy) as gate:
        yield gate


def start(url: str, dest: Path) -> subprocess.Popen:
    command = [
        sys.executable,
        ROOT / "01_data/fetch_data.py",
        "--dataset",
        "fib25",
        "--volume",
        "big.zarr",
        "--endpoint-url",
        url,
    ]
    return subprocess.Popen([*command, "--dest", dest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_half(process: subprocess.Popen, dest: Path) -> Path:
    """Until the first part of the object is on disk; where."""
    while process.poll() is None:
        for part in (dest / TRAINING / "big.zarr.partial").glob("raw.*.part"):
            if part.stat().st_size == HELD:
                return part
        time.sleep(0.02)
    raise AssertionError(process.stderr.read())


def test_killed_in_mid_file(content, proxy, gate, fetch, tmp_path) -> None:
    process = start(proxy.url, tmp_path / "dest")
    part = wait_for_half(process, tmp_path / "dest")
    process.kill()
    process.wait()
    training = tmp_path / "dest" / TRAINING
    assert not (training / "big.zarr").exists()
    assert content.startswith(part.read_bytes())
    gate.set()
    proxy.ranges.clear()
    again = fetch("--dataset", "fib25", "--volume", "big.zarr", url=proxy.url)
    assert again.status == 0, again.err
    assert files(training / "big.zarr") == {"raw": content, ".zgroup": b"{}"}
    assert proxy.asked("raw") == [f"bytes={HELD}-"]


def test_interrupted(content, proxy, gate, tmp_path) -> None:
    process = start(proxy.url, tmp_path / "dest")
    part = wait_for_half(process, tmp_path / "dest")
    process.send_signal(signal.SIGINT)
    gate.set()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    assert content.startswith(part.read_bytes())
    assert not (tmp_path / "dest" / TRAINING / "big.zarr").exists()


@pytest.fixture
def small_disk(tmp_path):
    with disks.small_disk(tmp_path / "dest", "3m") as disk:
        yield disk


def fill(path: Path, leave: int) -> None:
    with path.open("wb") as file:
        file.write(bytes(os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_bsize - leave))


def test_a_disk_that_fills_up(content, proxy, gate, fetch, small_disk) -> None:
    process = start(proxy.url, small_disk)
    wait_for_half(process, small_disk)
    fill(small_disk / "other", leave=200_000)
    gate.set()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f".part: {os.strerror(errno.ENOSPC).lower()}. Name a place" in err
    assert "Traceback" not in err
    assert not (small_disk / TRAINING / "big.zarr").exists()
    (small_disk / "other").unlink()
    assert fetch("--dataset", "fib25", "--volume", "big.zarr", url=proxy.url).status == 0
    assert files(small_disk / TRAINING / "big.zarr")["raw"] == content


@pytest.mark.parametrize("option", [["--dry-run"], []])
def test_too_little_room_is_noticed_before(content, bucket, fetch, small_disk, option) -> None:
    fill(small_disk / "other", leave=1_900_000)
    refused = fetch("--dataset", "fib25", "--volume", "big.zarr", *option, url=bucket.url)
    assert refused.status == 2
    assert "2.01 MB are to be fetched, but only 1.9 MB are free there. Make room" in refused.error
    assert [path.name for path in small_disk.iterdir()] == ["other"]


def test_two_at_a_time(content, bucket, fetch, tmp_path) -> None:
    lock = tmp_path / "dest" / TRAINING / ".big.zarr.partial.lock"
    with only_run(lock, lock):
        refused = fetch("--dataset", "fib25", "--volume", "big.zarr", url=bucket.url)
    assert "big.zarr: is being fetched by another run. Wait for it" in refused.error
    assert fetch("--dataset", "fib25", "--volume", "big.zarr", url=bucket.url).status == 0


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_nobody_listens(tmp_path) -> None:
    """The process ends by itself, with one line: the time-out is for a hang, and far from ten seconds."""
    url = f"http://127.0.0.1:{unused_port()}"
    ended = run_script(ROOT / "01_data/fetch_data.py", "--endpoint-url", url, "--dest", tmp_path / "dest", timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"cannot be read from {url} (Could not connect to the endpoint). Check the network; --endpoint-url" in ended.stderr
    assert not (tmp_path / "dest").exists()


@pytest.mark.timeout(60)  # without our own limit it would be longer
def test_a_server_that_says_nothing(monkeypatch) -> None:
    monkeypatch.setattr(s3, "PATIENCE", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        store = s3.S3Store("open-neurodata", "us-east-1", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(UserError, match=r"cannot be read from http://.* \(no answer within 0.3 s\)"):
            store.check()


def test_it_is_patient_for_less_than_ten_seconds() -> None:
    assert s3.PATIENCE < 9


@pytest.mark.parametrize("url", ["not a url", "ftp://127.0.0.1", "http://"])
def test_an_endpoint_that_is_none(fetch, url, monkeypatch) -> None:
    refused = fetch(url=url)
    assert refused.status == 2
    assert "cannot be read from" in refused.error
