"""Queues at work: the order, what fails, stopping and going on; with scripts that do nothing but count."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lsd_experiments.installation import ROOT
from lsd_experiments.trainings.command import table
from lsd_experiments.trainings.reading import read_queue
from lsd_experiments.trainings.running import run_queue
from lsd_experiments.trainings.state import State
from tests.scripts import environment

COMMAND = ROOT / "02_train/trainings.py"
NOTE = """
import os, sys
with open(sys.argv[1], "a") as file:
    print(*sys.argv[2:], os.environ["OMP_NUM_THREADS"], file=file)
sys.exit(int(sys.argv[3]))
"""
# Waits until told, then says so: what a training does.
SAVES = """
import os, signal, sys, time
if os.path.exists("saved"):
    sys.exit(0)
def save(*_):
    open("saved", "w").close()
    sys.exit(128 + 15)
signal.signal(signal.SIGTERM, save)
open("begun", "w").close()
while True:
    time.sleep(0.01)
"""
MEETS = """
import os, sys, time
own, other = sys.argv[1:]
open(own, "w").close()
end = time.monotonic() + 60
while not os.path.exists(other):
    assert time.monotonic() < end
    time.sleep(0.01)
"""


@pytest.fixture
def place(tmp_path):
    for name, text in {"note.py": NOTE, "saves.py": SAVES, "meets.py": MEETS}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def queue(place, text):
    (place / "queue.toml").write_text(f'threads = 2\n[values]\nhere = "{place}"\n{text}')
    return read_queue(place / "queue.toml", place / "out")[1]


def notes(place):
    return (place / "notes").read_text().splitlines()


def run(place, jobs, parallel=1):
    return run_queue(jobs, State.read(place / "out"), parallel, threads=2)


def job(name, status=0, needs=(), more=""):
    step = f'["$here/note.py", "$here/notes", "{name}", "{status}"]'
    return f'[[job]]\nname = "{name}"\nneeds = {json.dumps(needs)}\nsteps = [{step}{more}]\n'


def test_jobs_run_in_their_order_and_once(place, capsys):
    jobs = queue(place, job("a") + job("b") + job("c"))
    assert run(place, jobs) == 0
    assert notes(place) == ["a 0 2", "b 0 2", "c 0 2"]
    assert run(place, jobs) == 0
    assert notes(place) == ["a 0 2", "b 0 2", "c 0 2"]
    assert capsys.readouterr().err.count("done") == 3
    changed = queue(place, job("a") + job("b", more=', ["$here/note.py", "$here/notes", "b2", "0"]') + job("c"))
    assert "b    left, changed" in table(changed, State.read(place / "out"))
    assert run(place, changed) == 0
    assert notes(place)[3:] == ["b 0 2", "b2 0 2"]


def test_what_needs_a_job_that_failed_is_left_and_tried_again(place, capsys):
    text = job("a", 3) + job("b", needs=["a"]) + job("c", needs=["b"]) + job("d")
    assert run(place, queue(place, text)) == 1
    assert notes(place) == ["a 3 2", "d 0 2"]
    error = capsys.readouterr().err
    assert f"a: failed with status 3, see {place}/out/logs/a.log" in error
    assert error.splitlines()[-1] == "error: 3 of 4 jobs failed, or need one that did: a, b, c"
    assert f"note.py {place}/notes a 3" in (place / "out/logs/a.log").read_text()
    shown = table(queue(place, text), State.read(place / "out"))
    words = [line.split()[:2] for line in shown.splitlines()[1:5]]
    assert words == [["a", "failed"], ["b", "left"], ["c", "left"], ["d", "done"]]
    assert "3 of 4 jobs are left" in shown
    mended = job("a") + job("b", needs=["a"]) + job("c", needs=["b"]) + job("d")
    assert run(place, queue(place, mended)) == 0
    assert notes(place)[2:] == ["a 0 2", "b 0 2", "c 0 2"]


def test_a_step_that_fails_is_the_last_of_its_job(place):
    assert run(place, queue(place, job("a", 1, more=', ["$here/note.py", "$here/notes", "second", "0"]'))) == 1
    assert notes(place) == ["a 1 2"]


def test_only_those_of_a_name(place, capsys):
    """And not what needs one that is neither among them nor done."""
    jobs = queue(place, job("a/0") + job("b/0", needs=["a/0"]) + job("b/1") + job("c/0"))
    assert run_queue(jobs, State.read(place / "out"), 1, 2, only="b/*") == 1
    assert notes(place) == ["b/1 0 2"]
    assert capsys.readouterr().err.splitlines()[-1] == "error: 1 of 2 jobs failed, or need one that did: b/0"
    assert run_queue(jobs, State.read(place / "out"), 1, 2, only="a/*") == 0
    assert run_queue(jobs, State.read(place / "out"), 1, 2, only="b/*") == 0
    assert notes(place) == ["b/1 0 2", "a/0 0 2", "b/0 0 2"]


def test_some_at_a_time(place):
    """Each waits for the other: one by one they would wait for ever."""
    jobs = queue(place, "".join(f'[[job]]\nname = "{a}"\nsteps = [["$here/meets.py", "{a}", "{b}"]]\n' for a, b in ("xy", "yx")))
    assert run(place, jobs, parallel=2) == 0


def test_files_are_written_and_cpu_time_is_that_of_all_processes(place):
    (place / "busy.py").write_text("import subprocess, sys\nsubprocess.run([sys.executable, '-S', '-c', 'sum(range(10**7))'])\n"
                                   "assert open('in.toml').read() == 'x = 1'")
    jobs = queue(place, '[[job]]\nname = "a"\ndirectory = "sub"\n'
                        'files = [{name = "in.toml", text = "x = $x", values = {x = 1}}]\n'
                        'steps = [["$here/busy.py"]]\n')
    assert run(place, jobs) == 0
    assert (place / "out/sub/in.toml").read_text() == "x = 1"
    assert State.read(place / "out").of(jobs[0]).seconds >= 0.1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_at_work_saves_when_the_queue_is_stopped(place, number):
    queue(place, '[[job]]\nname = "long"\n'
                 'steps = [["$here/saves.py"], ["$here/note.py", "$here/notes", "after", "0"]]\n' + job("b"))
    command = [sys.executable, COMMAND, place / "queue.toml", place / "out"]
    process = subprocess.Popen(command, env=environment(), text=True, stderr=subprocess.PIPE)
    _wait_for(place / "out/begun")
    second = subprocess.run(command, env=environment(), text=True, capture_output=True)
    assert (second.returncode, "another queue is at work there" in second.stderr) == (2, True)
    assert "1 of 2 jobs" not in (status := _status(command))
    assert "a queue is at work" in status
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert "2 jobs are left, run the same command to go on" in process.stderr.read()
    assert (place / "out/saved").exists()
    assert not (place / "notes").exists()
    status = _status(command)
    assert "long  stopped" in status
    assert "no queue is at work" in status
    assert subprocess.run(command, env=environment()).returncode == 0
    assert notes(place) == ["after 0 2", "b 0 2"]


def test_jobs_are_niced(place):
    (place / "nice.py").write_text("import os\nprint('nice', os.nice(0))")
    (place / "queue.toml").write_text(f'nice = 7\n[[job]]\nname = "a"\nsteps = [["{place}/nice.py"]]\n')
    command = [sys.executable, COMMAND, place / "queue.toml", place / "out"]
    assert subprocess.run(command, env=environment()).returncode == 0
    assert f"nice {min(19, os.nice(0) + 7)}" in (place / "out/logs/a.log").read_text()


def test_a_damaged_record_is_refused(place):
    (place / "out").mkdir()
    (place / "out/queue.json").write_text('{"a": 3}')
    command = [sys.executable, COMMAND, place / "queue.toml", place / "out", "--status"]
    queue(place, job("a"))
    ended = subprocess.run(command, env=environment(), text=True, capture_output=True)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "queue.json: not the record of a queue. Remove it" in ended.stderr


def _status(command):
    return subprocess.run([*command, "--status"], env=environment(), text=True, capture_output=True).stdout


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
