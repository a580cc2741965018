import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import patience
from tests.remote.server import Server

NESTED = ("", "volumes")
GROUP = {"zarr_format": 3, "node_type": "group", "attributes": {}}


@pytest.fixture(scope="session")
def raw():
    return np.random.default_rng(4).integers(1, 255, (5, 9, 7), np.uint8)


@pytest.fixture(scope="session")
def trees(raw, tmp_path_factory) -> Path:
    """A directory with each format, written by tensorstore; the groups of zarr 3 by hand."""
    directory = tmp_path_factory.mktemp("trees")
    np.save(directory / "raw.npy", raw)
    subprocess.run([sys.executable, Path(__file__).with_name("trees.py"), directory / "raw.npy", directory], check=True)
    for name in ("zarr3", "sharded3", "turned3", "channels3"):
        for group in NESTED:
            (directory / name / group / "zarr.json").write_text(json.dumps(GROUP))
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    levels = [{"path": str(level), "coordinateTransformations": [
        {"type": "scale", "scale": [40, 10 * 2**level, 4.6 * 2**level]},
        {"type": "translation", "translation": [120, 30 + 5 * level, 2.3 * level]}]} for level in (0, 1)]
    ome = {**GROUP, "attributes": {"ome": {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}}}
    (directory / "ome/em/zarr.json").write_text(json.dumps(ome))
    (directory / "ome/zarr.json").write_text(json.dumps(GROUP))
    return directory


@pytest.fixture
def server(trees):
    """Serves ``trees``, and counts."""
    with Server(trees) as server:
        yield server


@pytest.fixture
def google(server, monkeypatch):
    """The same as buckets of Google's: a directory of ``trees`` is one."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    return server


@pytest.fixture
def impatient(monkeypatch):
    """A server that fails is given up in a moment."""
    for name, seconds in (("PAUSE", 0.01), ("PATIENCE", 0.2), ("OPENING", 0.1)):
        monkeypatch.setattr(patience, name, seconds)
