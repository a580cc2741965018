"""The region graph in a schema of a PostgreSQL database: many machines may write at once."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lsd_experiments.errors import Unavailable, UserError
from lsd_experiments.rag.address import Address, parse_address
from lsd_experiments.rag.copying import from_copy, to_copy
from lsd_experiments.rag.database import LAYOUT, Database, Rows, Statement
from lsd_experiments.rag.ledger import BLOCKS, CREATE_BLOCKS
from lsd_experiments.rag.session import Session
from lsd_experiments.rag.stages import create_tables

MARK = "region_graph"  # the table that tells that a schema is ours


class PostgresDatabase(Database):
    """An open schema.

    :param create: make the schema if it is not there
    :param readonly: refuse to write; reading is all that the user must be granted
    :param patient: see :class:`~lsd_experiments.rag.session.Session`, and ``retry``
    :raises UserError: if the server does not let us in, or the schema is not there or is something else
    """

    def __init__(self, url: str, create: bool, readonly: bool = False, patient: bool = False,
                 retry: float | None = None) -> None:
        self._address = parse_address(url)
        self.name = self._address.name
        self._session = Session(self._address, patient, retry, readonly)
        try:
            self._session.run(lambda cursor: _prepare(cursor, self._address, create, readonly, self.table_options))
        except BaseException:
            self.close()
            raise

    def transact(self, statements: Sequence[Statement]) -> None:  # noqa: D102
        ready = [(f"COPY {statement.table} FROM STDIN (FORMAT binary)", to_copy(statement.values))
                 if isinstance(statement, Rows) else (_marked(statement[0]), statement[1]) for statement in statements]

        def execute(cursor: Any) -> None:
            for command, values in ready:
                if isinstance(values, bytes):
                    cursor.copy_expert(command, io.BytesIO(values))
                else:
                    cursor.execute(command, values)
        self._session.run(execute)

    def fetch(self, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: D102
        def execute(cursor: Any) -> list[tuple[Any, ...]]:
            cursor.execute(_marked(query), parameters)
            return list(cursor.fetchall())
        return self._session.run(execute)

    def read(self, query: str, parameters: tuple[Any, ...], kind: DTypeLike) -> NDArray[np.void]:  # noqa: D102
        fields: np.dtype[np.void] = np.dtype(kind)
        names = ", ".join(f"coalesce({name}, 'NaN')" if fields[name].kind == "f" else name for name in fields.names or ())

        def execute(cursor: Any) -> bytes:
            inner = cursor.mogrify(_marked(query), parameters).decode()
            data = io.BytesIO()
            cursor.copy_expert(f"COPY (SELECT {names} FROM ({inner}) AS found) TO STDOUT (FORMAT binary)", data)
            return data.getvalue()
        return from_copy(self._session.run(execute), fields)

    def tables(self) -> list[str]:  # noqa: D102
        return self._session.run(lambda cursor: [name for name in _relations(cursor, self._address, "r") if name != MARK])

    def check(self) -> None:
        """The server keeps checksums of its own."""

    def close(self) -> None:  # noqa: D102
        self._session.close()


def schema_is_used(url: str) -> bool:
    """Whether anything, a region graph or not, is in the schema that ``url`` names.

    :raises UserError: if the server does not let us in
    """
    address = parse_address(url)
    session = Session(address)
    try:
        return bool(session.run(lambda cursor: _relations(cursor, address)))
    finally:
        session.close()


def _prepare(cursor: Any, address: Address, create: bool, readonly: bool, table_options: str) -> None:
    """Make the tables in a new schema; look whether one that is there is ours."""
    schema = address.schema
    if create:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('lsd-experiments'), hashtext(%s))", (schema,))
    there = _relations(cursor, address)
    if MARK in there:
        cursor.execute(f"SELECT layout FROM {MARK}")
        if cursor.fetchall() != [(LAYOUT,)]:
            raise UserError(f"{address.name}: a region graph as another version of this software keeps it. Name another schema, "
                            f"or drop {schema} and run extract_fragments again")
        if not readonly and BLOCKS not in there:
            cursor.execute(CREATE_BLOCKS[0])
        return
    if there:
        raise UserError(f"{address.name}: schema {schema} holds something else. Name another one: ?schema=NAME")
    if not create:
        raise Unavailable(f"{address.name}: no region graph in schema {schema}. Run extract_fragments first, or correct 'db'")
    cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", (schema,))
    if cursor.fetchone() == (0,):
        cursor.execute(f"CREATE SCHEMA {schema}")
    for statement, _ in create_tables(table_options):
        cursor.execute(statement)
    cursor.execute(f"CREATE TABLE {MARK} AS SELECT {LAYOUT} AS layout")


def _relations(cursor: Any, address: Address, kind: str = "%") -> list[str]:
    """The names of what is in the schema, sorted; ``kind`` r: tables only."""
    cursor.execute("SELECT relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
                   "WHERE nspname = %s AND relkind::text LIKE %s ORDER BY relname", (address.schema, kind))
    return [name for name, in cursor.fetchall()]


def _marked(statement: str) -> str:
    """With psycopg2's marks for parameters."""
    return statement.replace("?", "%s")
