"""Databases to test with."""

import itertools

import pytest

from tests.rag.cluster import missing, start

schemas = itertools.count()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A PostgreSQL server that all tests share: each takes a schema of its own."""
    if missing():
        pytest.skip(missing())
    cluster = start(tmp_path_factory.mktemp("postgresql"))
    yield cluster
    cluster.remove()


@pytest.fixture
def url(cluster):
    """Of a schema that is not there yet."""
    return f"{cluster.url}?schema=graph_{next(schemas)}"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where each kind of database may be made."""
    return str(tmp_path / "graph.db") if request.param == "sqlite" else request.getfixturevalue("url")
