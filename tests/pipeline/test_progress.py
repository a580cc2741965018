"""The bars of a run, in a process with a terminal and in one without."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

SCRIPT = """
from lsd_experiments.pipeline.progress import ProgressView
with ProgressView(["agglomerate", "find_segments"]) as view:
    show = view.of("agglomerate")
    for done in (3, 10):
        show({"total": 10, "completed": done, "skipped": 3, "failed": 1, "running": 2})
    view.finished("agglomerate", "12 edges")
    print("between")
    view.of("find_segments")({"total": 5, "completed": 5, "skipped": 0, "failed": 0})
    view.finished("find_segments", "5 thresholds")
"""


def test_in_a_log_a_stage_appears_as_it_begins():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["agglomerate: 12 edges", "between", "find_segments: 5 thresholds"]
    assert "10/10" in done.stderr
    assert "failed=1, running=2" in done.stderr
    assert done.stderr.index("10/10") < done.stderr.index("find_segments")


def test_on_a_terminal_all_stages_stand_from_the_beginning():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    assert process.wait() == 0
    text = seen.decode()
    assert text.index("find_segments") < text.index("10/10")
    assert "5/5" in text
