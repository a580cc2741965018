"""Copies of experiments, and commands as users type them: for the demo, the self-test, new.py, status.py and benchmarks."""

import os
import shutil
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
