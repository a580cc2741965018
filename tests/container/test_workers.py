"""Workers in the image, the run outside: all stages, as local processes and as jobs of Slurm, to the same result as without."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.blockwise import slurm
from tests.container.conftest import ROOT
from tests.faults.comparing import compare_files
from tests.faults.scene import make_scene, write_config

pytestmark = pytest.mark.container

WORKERS = """
[workers]
kind = "{kind}"
num_workers = 2
cpus = 1
image = "{image}"
binds = ["{scene}", "{directory}"]
"""


@pytest.fixture(scope="module")
def scene(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("scene")
    make_scene(directory)
    return directory


def pipeline(config: Path, **variables: str) -> None:
    result = subprocess.run([sys.executable, ROOT / "03_predict/run.py", config], cwd=ROOT, timeout=400, stdin=subprocess.DEVNULL,
                            env={**os.environ, "PYTHONPATH": str(ROOT), **variables}, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def plain(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("plain") / "run"
    config = write_config(directory, scene)
    pipeline(config)
    config.unlink()  # it names other files
    return directory


@pytest.mark.parametrize("kind", ["local", "slurm"])
def test_workers_in_the_image(image: Path, scene: Path, plain: Path, kind: str, tmp_path: Path) -> None:
    if kind == "slurm" and slurm.missing():
        pytest.skip(str(slurm.missing()))
    directory, called = tmp_path / "run", tmp_path / "called"
    config = write_config(directory, scene)
    with config.open("a") as file:
        file.write(WORKERS.format(kind=kind, image=image, scene=scene, directory=directory))
    (tmp_path / "bin").mkdir()
    noting = tmp_path / "bin/apptainer"
    noting.write_text(f'#!/bin/sh\necho "$@" >> {called}\nexec {shutil.which("apptainer")} "$@"\n')
    noting.chmod(0o755)
    path = f"{noting.parent}{os.pathsep}{os.environ['PATH']}"
    if kind == "local":
        pipeline(config, PATH=path)
    else:
        with slurm.slurm(tmp_path / "slurm") as conf:
            pipeline(config, PATH=path, SLURM_CONF=str(conf))
    lines = called.read_text().splitlines()
    assert len(lines) >= 4, "each of four stages has workers"
    assert all(line.startswith("exec --bind") and str(image) in line for line in lines)
    config.unlink()
    assert not compare_files(plain, directory)
