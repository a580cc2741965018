"""A disk that is full, and how much memory a process of its own takes."""

import json
import subprocess
import sys

import pytest

from tests import disks


@pytest.fixture
def small_disk(tmp_path):
    """A directory with room for 1 MB."""
    with disks.small_disk(tmp_path / "disk", "1m") as disk:
        yield disk


@pytest.fixture
def peak_memory():
    """``peak_memory(code, *arguments)``: the MB that a fresh Python has at most in memory while it runs ``code``."""

    def measure(code: str, *arguments: object) -> float:
        program = f"import json, sys\narguments = json.loads(sys.argv[1])\n{code}\nprint(open('/proc/self/status').read())"
        done = subprocess.run([sys.executable, "-c", program, json.dumps(arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        line = next(line for line in done.stdout.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1000

    return measure
