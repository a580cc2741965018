"""Where a PostgreSQL database is: ``postgresql://user:password@host:port/database?schema=NAME``, and what libpq adds.

The password is taken out at once. Instead of the URL, libpq's places may hold it: PGPASSWORD, or ~/.pgpass.
"""

import getpass
import os
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import unquote

from lsd_experiments.errors import UserError

SCHEMA = "lsd"  # unless the URL names one

URL = re.compile(r"(?P<scheme>postgres(?:ql)?://)(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
                 r"(?P<hosts>[^@/?#]*)(?P<database>/[^:@/?#&=]*)?(?:\?(?P<query>[^@#]*))?")
HOST = re.compile(r"([\w.-]*|%2[Ff][\w.%-]*|\[[0-9A-Fa-f:.]+(%25[\w.-]+|%[\w.-]+)?\])(:[0-9]*)?")

# Decoded, the parts of an address that are shown. What is none may be a password that came in the wrong place.
SHAPES = {
    "user": re.compile(r"[\w.@$+-]*"),
    "host": re.compile(r"[\w.-]*|[@/][^:=&?#@\s]*|[0-9A-Fa-f:.]*(%[\w.-]+)?"),  # each of those between commas
    "port": re.compile(r"[0-9,]*"),
    "dbname": re.compile(r"[^:=&?#@/\s]*( [^:=&?#@/\s]*)*"),
}
KEYS = ("schema", "host", "hostaddr", "port", "dbname", "user", "passfile", "service", "options", "sslmode", "sslcert", "sslkey",
        "sslrootcert", "connect_timeout", "application_name", "target_session_attrs", "keepalives")  # most used
VARIABLES = {"user": "PGUSER", "host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE"}

# What is meant to reach a server, and may hold a password, though it is no URL: libpq's "key=value ...", a URL with a slash too
# few, or "user:password@host"; perhaps made absolute, as paths in a configuration are.
NO_FILE = re.compile(r"password\s*=|(?:^|/)\s*postg\w*\s*:|(?:^|/)[^/:@]*:[^/]*@", re.IGNORECASE)
FILES = (".db", ".sqlite", ".sqlite3")  # of a name with : and @ in a directory that is there

SECRET = re.compile("passw|secret|_key$", re.IGNORECASE)  # of libpq's parameters; passfile and sslkey name files

MALFORMED = ("db: the URL of the database is malformed. It is postgresql://user:password@host:port/database?parameter=value, "
             "with special characters in each part as %40 for @, %2F for /, %3A for :")


def is_url(place: str | Path) -> bool:
    """Whether ``place`` is the URL of a PostgreSQL database, not the path of a file.

    What is there is a path, whatever its name; so is what lies in a directory that is there, as far as that goes.

    :raises UserError: if it is a URL of another kind, or may be one that went wrong; then it is not quoted
    """
    if isinstance(place, Path):
        return False
    scheme, separator, _ = place.partition("://")
    if separator and scheme in ("postgres", "postgresql"):
        return True
    new = _new_part(place)
    if not new or (new == place.rpartition("/")[2] and new.endswith(FILES)) or re.match(r"[A-Za-z]:\\", place):
        return False
    if separator and re.fullmatch(r"[A-Za-z]+(\+[A-Za-z]+)?", scheme):
        raise UserError(f"db: a URL that begins with {scheme}://. Name a file for SQLite, or postgresql://user@host/database")
    if separator or NO_FILE.search(new):
        raise UserError("db: neither a file nor a URL as it should be. Name a file for SQLite, or "
                        "postgresql://user:password@host:port/database; a directory with : and @ in its name must be there")
    return False


def _new_part(place: str) -> str:
    """What of the path ``place`` is not there yet, from the first part that is not; empty if all is."""
    if os.path.lexists(place):
        return ""
    ends = [match.start() for match in re.finditer("/", place)]
    there = max((end + 1 for end in ends if os.path.isdir(place[:end + 1])), default=0)  # noqa: PTH112  (Path raises for long names)
    return place[there:]


def split_password(url: str) -> tuple[str, str | None]:
    """``url`` without its password, and the password, None if it has none.

    :raises UserError: if it is malformed, or holds other secrets; the message does not quote it
    """
    parts = URL.fullmatch(url)
    if parts is None or not all(map(HOST.fullmatch, parts["hosts"].split(","))):
        raise UserError(MALFORMED)
    shown = {"user": parts["user"] or "", "dbname": (parts["database"] or "").removeprefix("/")}
    if not all(_fits(key, unquote(value)) for key, value in shown.items()):
        raise UserError(MALFORMED)
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
        elif "=" not in item:
            raise UserError(MALFORMED)
        else:
            _check_parameter(key, unquote(value))
    kept = [item for item in query if unquote(item.partition("=")[0]) != "password"]
    user = f"{parts['user']}@" if parts["user"] else ""
    place = parts["hosts"] + (parts["database"] or "")
    bare = parts["scheme"] + user + place + ("?" + "&".join(kept) if kept else "")
    return bare, unquote(password) if password else None


def _fits(key: str, value: str) -> bool:
    """Whether a part of an address, decoded, looks like what it should be."""
    return all(map(SHAPES[key].fullmatch, value.split(",") if key == "host" else [value]))


def _check_parameter(key: str, value: str) -> None:
    """:raises UserError: if libpq knows no such parameter; it is named if it seems to be one that was mistyped"""
    import psycopg2
    from psycopg2.extensions import parse_dsn

    if key in SHAPES and not _fits(key, value):
        raise UserError(MALFORMED)
    if key == "schema":
        return
    try:
        if not re.fullmatch("[a-z_]+", key):
            raise psycopg2.ProgrammingError
        parse_dsn(f"{key}=x")
    except (psycopg2.ProgrammingError, UnicodeDecodeError):
        named = f': "{key}"' if get_close_matches(key, KEYS, cutoff=0.75) else ""
        raise UserError(f"db: the URL of the database is malformed: invalid URI query parameter{named}. Take those of libpq, or "
                        "schema") from None


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
        shown = f"schema={schema}" if re.fullmatch(r"[\w;. -]*", schema) else "a schema"
        raise UserError(f"db: {shown} in the URL of the database. Take small letters, digits and _")
    rest = "&".join(item for item in items if item.partition("=")[0] != "schema")
    try:
        parameters = parse_dsn(base + ("?" + rest if rest else ""))
    except (psycopg2.ProgrammingError, UnicodeDecodeError):  # what they say quotes the URL
        raise UserError(MALFORMED) from None
    return Address(_describe(parameters, schema), schema, parameters, password)


def _describe(parameters: dict[str, str], schema: str) -> str:
    """:raises UserError: if what is to be shown may be something else"""
    for key, variable in VARIABLES.items():
        given = parameters.get(key) or (parameters.get("hostaddr") if key == "host" else None)
        if given is not None and not _fits(key, given):
            raise UserError(MALFORMED)
        if given is None and not _fits(key, os.environ.get(variable, "")):
            raise UserError(f"db: {variable} in the environment is no {key} of a database. Correct it, or name it in the URL")
    user = parameters.get("user") or os.environ.get("PGUSER") or getpass.getuser()
    host = parameters.get("host") or parameters.get("hostaddr") or os.environ.get("PGHOST") or "localhost"
    port = parameters.get("port") or os.environ.get("PGPORT") or "5432"
    database = parameters.get("dbname") or os.environ.get("PGDATABASE") or user
    return f"postgresql://{user}@{host}:{port}/{database}" + (f"?schema={schema}" if schema != SCHEMA else "")


def hide(text: str, address: Address) -> str:
    """``text``, which libpq says of ``address``, without what may be a secret: the password, and the values of parameters that
    it quotes.
    """
    passwords = [password for password in (address.password, os.environ.get("PGPASSWORD")) if password]
    quoted = [value for key, value in address.parameters.items() if key not in VARIABLES]
    quoted += [value for key, value in os.environ.items() if key.startswith("PG") and key not in VARIABLES.values()]
    for value in (*passwords, *quoted):
        text = text.replace(f'"{value}"', '"***"')
    for value in passwords:
        text = text.replace(value, "***") if len(value) > 3 else text
    return text
