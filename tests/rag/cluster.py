"""A private PostgreSQL server on a free port of the loopback, which asks for a password.

    cluster = start(directory)    # cluster.url, cluster.stop(), cluster.restart(), cluster.remove()
"""

import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

USER, PASSWORD, DATABASE = "tester", "s3cret/@:%?", "graphs"  # the password has all that is special in a URL


def find_programs() -> Path | None:
    """The directory with ``initdb`` and ``pg_ctl`` of the newest version; None if there is no PostgreSQL."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: float(place.parent.name), reverse=True)
    found = shutil.which("pg_ctl")
    places += [Path(found).resolve().parent] if found else []
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


def missing() -> str | None:
    """Why there can be no server, for a test to skip; None if there can."""
    return None if find_programs() else "needs PostgreSQL: apt-get install postgresql"


@dataclass
class Cluster:
    """A server that runs unless it is stopped."""

    directory: Path
    port: int
    guard: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """With its password."""
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def bare_url(self) -> str:
        """Without."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    def stop(self, mode: str = "immediate") -> None:
        """Stop as a crash does, or in another mode of pg_ctl."""
        _run("pg_ctl", "stop", "-w", "-m", mode, "-D", self.directory / "data")

    def restart(self) -> None:
        """Start a stopped server again, on the same port."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=50"
        _run("pg_ctl", "start", "-w", "-D", self.directory / "data", "-l", self.directory / "log", "-o", options)

    def remove(self) -> None:
        """Stop and forget all."""
        assert self.guard.stdin is not None
        self.guard.stdin.close()
        self.guard.wait(60)


def start(directory: Path) -> Cluster:
    """A server with an empty database; it ends with this process, however that ends.

    :param directory: for its files; root has them in a temporary directory of their own, since PostgreSQL refuses to
        run as root, and nobody else can enter the directories of root's tests
    """
    if os.geteuid() == 0:
        directory = Path(tempfile.mkdtemp(prefix="postgresql-"))
        shutil.chown(directory, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        cluster = Cluster(directory, free.getsockname()[1], _start_guard(directory))
    password = directory / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    _run("initdb", "-D", directory / "data", "-U", USER, "-E", "UTF8", "--no-locale", "--no-sync", "--auth=scram-sha-256",
         f"--pwfile={password}")
    cluster.restart()
    execute(f"{cluster.url.rpartition('/')[0]}/postgres", f"CREATE DATABASE {DATABASE}")
    return cluster


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """What a statement gives."""
    import psycopg2

    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def _start_guard(directory: Path) -> "subprocess.Popen[bytes]":
    """What stops the server of ``directory``, and removes that, once its input ends: on a word, or with this process."""
    programs = find_programs()
    assert programs is not None, missing()
    script = 'cat; if [ -e "$2/data/postmaster.pid" ]; then "$1" stop -w -m immediate -D "$2/data"; fi; rm -rf "$2"'
    return subprocess.Popen(["sh", "-c", script, "sh", programs / "pg_ctl", directory], stdin=subprocess.PIPE, cwd="/",
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **_as_postgres())


def _as_postgres() -> dict[str, Any]:
    """What makes a program run as a user who may run PostgreSQL."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _run(program: str, *arguments: str | Path) -> None:
    programs = find_programs()
    assert programs is not None, missing()
    done = subprocess.run([programs / program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, cwd="/", **_as_postgres())
    assert done.returncode == 0, done.stdout
