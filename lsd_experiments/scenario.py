"""Copies of experiments, and commands as users type them: for the demo, the self-test, new.py, status.py and benchmarks."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from lsd_experiments.installation import ROOT


def copy_experiment(source: Path, directory: Path) -> Path:
    """Copy what makes the experiment ``source`` to ``directory``: its scripts, and its dataset's files, in it or around it.

    Not what was made there, like checkpoints, nor the files' modes, which may be those of a read-only image.
    """
    directory.mkdir(parents=True)
    for path in [*source.glob("*.py"), *source.glob("dataset.toml")]:
        shutil.copyfile(path, directory / path.name)
    for path in source.parent.glob("*.toml"):
        shutil.copyfile(path, directory.parent / path.name)
    return directory


def environment(**more: str) -> dict[str, str]:
    """This process's, and ``more``; Python finds this package first in it, even if a directory that it was started in held it."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **more}


def run_script(directory: Path, script: str | Path, *arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run ``script`` in ``directory`` to its end; ``how``: as of :func:`subprocess.run`."""
    return subprocess.run([sys.executable, str(script), *map(str, arguments)], cwd=directory, env=environment(), text=True, **how)


def step(title: str, directory: str | Path, script: str, *arguments: str) -> None:
    """Run a script of the repository in its directory, as a user would, and say so.

    Ctrl-C, which a terminal sends to the script, too, and SIGTERM, which is passed on to it, let it end by itself: it may have
    something to save.

    :raises SystemExit: with its status, if it fails, or is interrupted; it has said why.
    """
    where = ROOT / directory
    shown = " ".join(as_typed(argument, where) for argument in arguments)
    place = where.relative_to(ROOT) if where.is_relative_to(ROOT) else where
    print(f"\n==> {title}\n    cd {place}; python {script} {shown}", file=sys.stderr, flush=True)
    process = subprocess.Popen([sys.executable, script, *arguments], cwd=where, env=environment())
    before = {signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
              signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.terminate())}  # fmt: skip
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if status:
        raise SystemExit(status if status > 0 else 128 - status)


def newest_segmentation(container: str | Path) -> str:
    """The dataset of the newest segmentation in a zarr container of 03_predict."""
    found = sorted((Path(container) / "volumes").glob("segmentation_*"), key=lambda path: path.stat().st_mtime)
    return f"volumes/{found[-1].name}"


def as_typed(argument: str, where: Path) -> str:
    """A path of the repository as a user in ``where`` would type it."""
    path = Path(argument)
    if not path.is_absolute() or not (path.is_relative_to(ROOT) and where.is_relative_to(ROOT)):
        return argument
    up = "../" * len(where.relative_to(ROOT).parts)
    return up + str(path.relative_to(ROOT))
