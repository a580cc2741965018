"""What all tests share."""

import itertools
import signal

import pytest

from tests.rag.cluster import missing, start

# Where the tests run in the background of a script, they inherit that Ctrl-C is ignored, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

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
