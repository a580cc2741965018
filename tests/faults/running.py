"""``python 03_predict/run.py CONFIG``, or another script there, as a process, what it has done, and what may be killed of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from tests.faults.scene import BLOCKS, MERGE_FUNCTION, ROOT

RECORDS = {"predict": "predict", "extract_fragments": "fragments", "agglomerate": "agglomerate",
           "extract_segmentation": "segmentation"}  # part of the name of the stage's directory of records
STAGES = ("predict", "extract_fragments", "agglomerate", "find_segments", "evaluate", "extract_segmentation")
TABLES = 20  # look-up tables, that is thresholds
DELAYS = {"/affs/": 0.6, ".png": 0.3, "/volumes/": 0.05, ".npz": 0.05}  # s, so that kills land in work


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(map(str, (Path(__file__).parent / "site", ROOT)))
    return {**os.environ, "PYTHONPATH": path, **more}


class Run:
    """One run, of all stages unless ``script`` names one, from its start on; its output goes to ``log``."""

    def __init__(self, config: Path, log: Path, script: str = "run", delays: Mapping[str, float] | None = None,
                 **more: str) -> None:
        self.log = log
        self._seen: set[psutil.Process] = set()
        slow = {"FAULTS_DELAY": json.dumps(delays)} if delays else {}
        with log.open("w") as output:
            self.process = psutil.Popen(
                [sys.executable, str(ROOT / "03_predict" / f"{script}.py"), str(config), "--num-workers", "2"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment(**slow, **more), start_new_session=True)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def descendants(self) -> list[psutil.Process]:
        """All processes below the run, and nothing else."""
        try:
            found = self.process.children(recursive=True)
        except psutil.NoSuchProcess:
            found = []
        self._seen.update(found)
        return found

    def commands(self) -> list[str]:
        """The words of the commands of all processes below the run, which everybody on the machine may read."""
        found: list[str] = []
        for process in self.descendants():
            with suppress(psutil.NoSuchProcess):  # it ended
                found += process.cmdline()
        return found

    def victims(self, target: str) -> list[psutil.Process]:
        """The processes of the run that are a ``worker``, the ``scheduler``, its ``template``, or the ``run`` itself."""
        below = self.descendants()
        if target == "run":
            return [self.process] if self.is_alive() else []
        templates = [process for process in below
                    if _says(process, "lsd_experiments.blockwise.template") and _parent(process) == self.process.pid]
        if target == "template":
            return templates
        # One that was forked this moment has its parent's name still.
        schedulers = [process for process in below if _is(process, "lsd-server") and _parent(process) in _pids(templates)]
        if target == "scheduler":
            return schedulers
        return [process for process in below if _parent(process) in _pids(schedulers) and _is(process, "lsd-worker")]

    def wait(self, timeout: float = 120) -> int:
        """The exit status.

        :raises AssertionError: if something that the run started outlives it
        """
        self.descendants()
        status = self.process.wait(timeout)
        _, alive = psutil.wait_procs(self._seen, timeout=20)
        assert not alive, f"outlived their run: {[process.cmdline() for process in alive]}"
        return int(status)

    def text(self) -> str:
        """What it printed, progress bars included."""
        return self.log.read_text(errors="replace").replace("\r", "\n")

    def error(self) -> str:
        """The one line that says what was wrong, which is the last one.

        :raises AssertionError: if there is more than that, or a traceback
        """
        lines = self.text().strip().splitlines()
        assert "Traceback" not in self.text(), self.text()
        assert [line for line in lines if line.startswith("error")] == lines[-1:], self.text()
        return lines[-1]


class Progress:
    """What is done on disk of the run whose container is ``out``."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def total(self, stage: str) -> int:
        return {**BLOCKS, "find_segments": TABLES, "evaluate": 1}[stage]

    def done(self, stage: str) -> int:
        """Blocks, look-up tables or files that are done."""
        if stage == "find_segments":
            return len(list(self._tables("_[0-9]*.npz"))) - (not self._tables_are_finished())
        if stage == "evaluate":
            return int(self.out.with_name(f"{self.out.stem}_{MERGE_FUNCTION}.png").exists())
        marks = (self.out / ".blockwise").glob(f"*{RECORDS[stage]}*/done/done/c/**/*")
        return sum(len(path.read_bytes().replace(b"\0", b"")) for path in marks if path.is_file())

    def has_begun(self, stage: str) -> bool:
        """Whether there is work to be killed in."""
        if stage == "evaluate":
            return self._tables_are_finished()
        return self.done(stage) > 0

    def is_over(self, stage: str) -> bool:
        return self.done(stage) >= self.total(stage)

    def _tables_are_finished(self) -> bool:
        return any('"finished"' in path.read_text() for path in self._tables(".json"))

    def _tables(self, ending: str) -> list[Path]:
        return list((self.out / "luts" / "fragment_segment").glob(f"seg_edges_{MERGE_FUNCTION}{ending}"))


def wait_until(condition: Callable[[], bool], run: Run, timeout: float = 120) -> bool:
    """Whether ``condition()`` came true while ``run`` was alive."""
    end = time.monotonic() + timeout
    while run.is_alive():
        if condition():
            return True
        assert time.monotonic() < end, f"nothing happened for {timeout} s: {run.text()[-2000:]}"
        time.sleep(0.002)
    return False


def _says(process: psutil.Process, word: str) -> bool:
    try:
        return any(word in argument for argument in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def _is(process: psutil.Process, name: str) -> bool:
    try:
        return process.name() == name
    except psutil.NoSuchProcess:
        return False


def _pids(processes: list[psutil.Process]) -> set[int]:
    return {process.pid for process in processes}


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None
