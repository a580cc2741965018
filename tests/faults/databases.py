"""Where runs keep their region graphs: in SQLite, beside the container, or in a schema of one PostgreSQL server."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.comparing import Rows, read_graph
from tests.rag import cluster


class Sqlite:
    """A file in the directory of the run."""

    kind = "sqlite"

    def config(self, directory: Path) -> str:
        """The lines of the configuration."""
        return ""

    def graph(self, directory: Path) -> dict[str, Rows]:
        """The rows of the run in ``directory``."""
        return read_graph(str(directory / "out.db"))


class Postgresql:
    """A schema that is called as the directory of the run."""

    kind = "postgresql"

    def __init__(self, server: cluster.Cluster) -> None:
        self.server = server

    def url(self, directory: Path) -> str:
        return f"{self.server.url}?schema={directory.name}"

    def config(self, directory: Path) -> str:
        return f'db = "{self.url(directory)}"'

    def graph(self, directory: Path) -> dict[str, Rows]:
        return read_graph(self.url(directory))


@contextmanager
def open_database(kind: str) -> Iterator[Sqlite | Postgresql]:
    """"sqlite" or "postgresql"; a server runs as long as this is open."""
    if kind == "sqlite":
        yield Sqlite()
        return
    directory = Path(tempfile.mkdtemp())
    server = cluster.start(directory)
    try:
        yield Postgresql(server)
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)
