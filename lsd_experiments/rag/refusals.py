"""What PostgreSQL's errors mean: that the server is away, that the user can mend something, or that we did wrong."""

from typing import Any

from lsd_experiments.errors import Unavailable

# That the server is away, by SQLSTATE: it shuts down or starts, or took one of two transactions back.
AWAY = {"57P01", "57P02", "57P03", "40001", "40P01"}
STARTING = ("is starting up", "is shutting down", "in recovery mode", "not yet accepting connections")

REMEDIES = {
    "53100": "no space left for it. Make room on its server",
    "25006": "it is read-only. Name a server that can be written",
    "42501": "access is denied. Grant it, or name another user",
    "28P01": "wrong user or password. Correct the URL, PGPASSWORD or ~/.pgpass",
    "3D000": "no such database. Make it with createdb, or correct 'db'",
}
# That tables are not as we left them: tables or columns that are not there, damaged pages and indices.
CHANGED = ("42P01", "42703", "XX001", "XX002")
# libpq gives no SQLSTATE for a connection that was refused.
TEXTS = {
    "password authentication failed": REMEDIES["28P01"],
    "no password supplied": "it wants a password. Set PGPASSWORD, or fill ~/.pgpass",
    "no space left": REMEDIES["53100"],
}


def is_outage(error: Exception, connection: Any) -> bool:
    """Whether the connection broke, so that the same may succeed on another one."""
    import psycopg2

    code = getattr(error, "pgcode", None)
    if code is not None:
        return code in AWAY or code.startswith("08")
    broke = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) or type(error) is psycopg2.DatabaseError
    return broke or connection is None or bool(connection.closed)


def is_starting(error: Exception) -> bool:
    """Whether a server refused a connection because it starts or stops."""
    return any(text in str(error) for text in STARTING)


def refusal(name: str, error: Exception, waited: float | None = None) -> Exception:
    """What to raise for an error: an Unavailable where the user can mend it.

    :param name: of the database
    :param waited: seconds, if that was in vain
    """
    import psycopg2

    text = first_line(error)
    if waited is not None:
        return Unavailable(f"{name}: did not answer for {waited:g} s: {text}. See whether the server runs, then run the same "
                         "command again")
    code = getattr(error, "pgcode", None)
    remedy = REMEDIES.get(code or "") or next((remedy for part, remedy in TEXTS.items() if part in text), None)
    if remedy is not None:
        return Unavailable(f"{name}: {remedy}")
    if code in CHANGED:
        return Unavailable(f"{name}: the region graph was damaged, or another program changed it: {text}. Drop its schema and "
                         "run extract_fragments again, or name another 'db'")
    if code is None and isinstance(error, psycopg2.OperationalError):
        if 'database "' in text and "does not exist" in text:
            return Unavailable(f"{name}: {REMEDIES['3D000']}")
        return Unavailable(f"{name}: cannot be reached: {text}. See whether the server runs, or correct 'db'")
    return error


def first_line(error: Exception) -> str:
    """What an error says first."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
