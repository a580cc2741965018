"""Runs in processes of their own, which can be interrupted and killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STARTED = []
RUN = """
import json, sys
from pathlib import Path
from lsd_experiments import cli
from lsd_experiments.blockwise import BlockTask, Workers, run_blockwise
from lsd_experiments.geometry import Box

def command(options):
    shape, write, path = (7, 10, 6), (3, 4, 6), Path(options.path)
    run_blockwise(BlockTask("a_stage", Box.of_shape(shape), write, f"lsd_experiments.engine_factories:{options.function}",
                            {"path": str(path), "shape": shape}, path.parent / "records",
                            workers=Workers(**json.loads(options.workers))))

parser = cli.parser("")
for name in ("path", "function", "workers"):
    parser.add_argument(name)
cli.run(command, parser)
"""


def command(path, function="slow", **workers):
    """The command that fills the array in ``path`` by the given workers (default: two)."""
    return [sys.executable, "-c", RUN, str(path), function, json.dumps({"num_workers": 2, **workers})]


def start(words, **options):
    """Start a command that Ctrl-C reaches, also if the tests run in the background."""
    process = subprocess.Popen(words, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
                               **{"stderr": subprocess.DEVNULL, **options})
    STARTED.append(process)
    return process


def end_all():
    """Kill what :func:`start` started and a test that failed has left."""
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait()


def program(directory, name, text):
    """An executable ``name`` in ``directory``, a Python script."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def stuck(directory):
    """The workers that are in the middle of a block."""
    return [int(path.read_text() or 0) for path in directory.glob("stuck_*")]


def alive(process):
    """Whether a process runs; one that ended and was not waited for yet counts as ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def processes_with(text):
    """The processes whose environment holds ``text``, this one aside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text.encode() in path.read_bytes() and int(path.parent.name) != os.getpid() and alive(path.parent.name):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
