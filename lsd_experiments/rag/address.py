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

# What is meant to reach a server, and may hold a password, though it is no URL: libpq's "key=value ...", a URL with a slash too
# few, or "user:password@host"; perhaps made absolute, as paths in a configuration are.
NO_FILE = re.compile(r"password\s*=|(?:^|/)\s*postgres\w*\s*:|(?:^|/)[^/:@]*:[^/@]*@", re.IGNORECASE)

SECRET = re.compile("passw|secret|_key$", re.IGNORECASE)  # of libpq's parameters; passfile and sslkey name files


def is_url(place: str | Path) -> bool:
    """Whether ``place`` is the URL of a PostgreSQL database, not the path of a file.

    :raises UserError: if it is a URL of another kind, or may be one that went wrong; then it is not quoted
    """
    if isinstance(place, Path):
        return False
    scheme, separator, _ = place.partition("://")
    if separator and scheme in ("postgres", "postgresql"):
        return True
    if separator and re.fullmatch("[A-Za-z][A-Za-z0-9+.-]*", scheme):
        raise UserError(f"db: a URL that begins with {scheme}://. Name a file for SQLite, or postgresql://user@host/database")
    if separator or NO_FILE.search(place):
        raise UserError("db: neither a file nor a URL as it should be. Name a file for SQLite, or "
                        "postgresql://user:password@host:port/database")
    return False


def split_password(url: str) -> tuple[str, str | None]:
    """``url`` without its password, and the password, None if it has none.

    :raises UserError: if it is malformed, or holds other secrets; the message does not quote it
    """
    parts = URL.fullmatch(url)
    if parts is None:
        raise UserError("db: the URL of the database is malformed. It is postgresql://user:password@host:port/database, with "
                        "special characters in user and password as %40 for @, %2F for /")
    password = parts["password"]
    query = [item for item in (parts["query"] or "").split("&") if item]
    for item in query:
        key, _, value = item.partition("=")
        key = unquote(key)
        if key == "password":
            password = value
        elif SECRET.search(key):
            raise UserError("db: the URL of the database holds a secret that is not its password (sslpassword, or the like). Put "
                            "it into ~/.pg_service.conf, and name the service: postgresql:///?service=NAME")
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
