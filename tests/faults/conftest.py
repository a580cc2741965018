"""One scene and one undisturbed run for all tests here, and the databases."""

import pytest

from tests import secrets
from tests.faults.databases import open_database
from tests.faults.running import Run
from tests.faults.scene import make_scene, write_config
from tests.rag.cluster import missing


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """Raw, labels and a trained network. Not to be changed."""
    directory = tmp_path_factory.mktemp("scene")
    make_scene(directory)
    return directory


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def database(request):
    if request.param == "postgresql" and missing():
        pytest.skip(missing())
    with open_database(request.param) as opened:
        yield opened


@pytest.fixture(scope="session")
def reference(scene, tmp_path_factory):
    """The directory of an undisturbed run on SQLite, beside its log. Not to be changed. It has secrets that it has no use for."""
    directory = tmp_path_factory.mktemp("undisturbed") / "reference"
    run = Run(write_config(directory, scene), directory.with_suffix(".log"), **secrets.ENVIRONMENT)
    assert run.wait() == 0, run.text()
    return directory
