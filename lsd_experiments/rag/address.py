"""Where a PostgreSQL database is: ``postgresql://user:password@host:port/database?schema=NAME``, and what libpq adds.

The password is taken out at once. Instead of the URL, libpq's places may hold it: PGPASSWORD, or ~/.pgpass.
"""

import getpass
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from lsd_experiments.errors import UserError

SCHEMA = "lsd"  # unless the URL names one

URL = re.compile(r"(?P<scheme>postgres(?:ql)?://)(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
                 r"(?P<place>[^@/?#]*(?:/[^@?#]*)?)(?:\?(?P<query>[^@#]*))?")


def is_url(place: str | Path) -> bool:
    """Whether ``place`` is the URL of a PostgreSQL database, not the path of a file.

    :raises UserError: if it is a URL of another kind
    """
    scheme, separator, _ = str(place).partition("://")
    if isinstance(place, Path) or not separator:
        return False
    if scheme not in ("postgres", "postgresql"):
        raise UserError(f"db: a URL that begins with {scheme}://. Name a file for SQLite, or postgresql://user@host/database")
    return True


def split_password(url: str) -> tuple[str, str | None]:
    """``url`` without its password, and the password, None if it has none.

    :raises UserError: if it is malformed; the message does not quote it
    """
    parts = URL.fullmatch(url)
    if parts is None:
        raise UserError("db: the URL of the database is malformed. It is postgresql://user:password@host:port/database, with "
                        "special characters in user and password as %40 for @, %2F for /")
    password = parts["password"]
    query = [item for item in (parts["query"] or "").split("&") if item]
    for item in query:
        key, _, value = item.partition("=")
        if unquote(key) == "password":
            password = value
    kept = [item for item in query if unquote(item.partition("=")[0]) != "password"]
    user = f"{parts['user']}@" if parts["user"] else ""
    bare = parts["scheme"] + user + parts["place"] + ("?" + "&".join(kept) if kept else "")
    return bare, unquote(password) if password else None


@dataclass(frozen=True)
class Address:
    """A parsed URL.

    :ivar name: user, host, port, database and schema, for messages
    :ivar parameters: libpq's, without the password
    """

    name: str
    schema: str
    parameters: dict[str, str]
    password: str | None = field(repr=False)


def parse_address(url: str) -> Address:
    """What ``url`` and libpq's environment variables say.

    :raises UserError: if the URL is malformed, or has parameters that libpq does not know
    """
    import psycopg2
    from psycopg2.extensions import parse_dsn

    bare, password = split_password(url)
    base, _, query = bare.partition("?")
    items = [item for item in query.split("&") if item]
    schemas = [unquote(item.partition("=")[2]) for item in items if item.partition("=")[0] == "schema"]
    schema = schemas[-1] if schemas else SCHEMA
    if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", schema) or schema.startswith("pg_"):
        raise UserError(f"db: schema={schema} in the URL of the database. Take small letters, digits and _")
    rest = "&".join(item for item in items if item.partition("=")[0] != "schema")
    try:
        parameters = parse_dsn(base + ("?" + rest if rest else ""))
    except psycopg2.ProgrammingError as error:
        raise UserError(f"db: the URL of the database is malformed: {str(error).strip().splitlines()[0]}") from None
    return Address(_describe(parameters, schema), schema, parameters, password)


def _describe(parameters: dict[str, str], schema: str) -> str:
    user = parameters.get("user") or os.environ.get("PGUSER") or getpass.getuser()
    host = parameters.get("host") or parameters.get("hostaddr") or os.environ.get("PGHOST") or "localhost"
    port = parameters.get("port") or os.environ.get("PGPORT") or "5432"
    database = parameters.get("dbname") or os.environ.get("PGDATABASE") or user
    return f"postgresql://{user}@{host}:{port}/{database}" + (f"?schema={schema}" if schema != SCHEMA else "")
