"""A scheduler whose command is killed as it starts, and the lock that it holds."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.locks import is_held, only_run
from tests.blockwise.running import alive, command, start, wait_for

pytestmark = pytest.mark.kills


def template_of(pid):
    """What the command ``pid`` has started for its schedulers, or None."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next((int(child) for child in children if b"blockwise.template" in Path(f"/proc/{child}/cmdline").read_bytes()), None)


def test_a_template_whose_command_is_killed_as_it_begins_does_nothing(make_task, tmp_path):
    task, array = make_task("fill")
    process = start(command(task.settings["path"], "fill"))
    wait_for(lambda: template_of(process.pid))
    template = template_of(process.pid)
    os.kill(template, signal.SIGSTOP)  # it imports; it does not see its parent die
    time.sleep(0.05)
    process.kill()
    process.wait()
    with pytest.raises(UserError, match="another run is at work"), only_run(task.records):
        pass
    os.kill(template, signal.SIGCONT)
    wait_for(lambda: not alive(template))
    with only_run(task.records):
        assert not array.any()


def test_who_looks_whether_a_lock_is_held_does_not_hinder_who_takes_it(tmp_path):
    place = tmp_path / "records"
    with only_run(place):
        assert is_held(place)
        with pytest.raises(UserError, match="another run"), only_run(place):  # negative control
            pass
    looks = f"from pathlib import Path\nfrom lsd_experiments.locks import is_held\nwhile True: is_held(Path({str(place)!r}))"
    looker = subprocess.Popen([sys.executable, "-c", looks])
    try:
        time.sleep(0.3)
        for _ in range(200):
            with only_run(place):
                pass
    finally:
        looker.kill()
        looker.wait()
