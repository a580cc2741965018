"""The region graph as Parquet files: ``nodes.parquet``, and one ``edges_<merge function>.parquet`` per merge function.

Columns are those of the tables, see :mod:`lsd_experiments.rag`; each edge is one row, with its sums over all blocks, and
a ``merge_score`` of null if the two never unite. Rows ascend by id, or by (u, v). The schema's metadata hold, under
``provenance``, what made the table, as JSON.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.errors import Unavailable, UserError
from lsd_experiments.rag.edges import edges_table, names_table
from lsd_experiments.rag.incoming import Incoming
from lsd_experiments.rag.nodes import NODES
from lsd_experiments.rag.store import BATCH, GraphChangedError, RagStore

PROVENANCE = b"provenance"
NODE_COLUMNS = {"id": "int64", "center_z": "double", "center_y": "double", "center_x": "double"}
EDGE_COLUMNS = {"u": "int64", "v": "int64", "merge_score": "double", "affinity_sum": "double", "contacts": "int64"}

Columns = dict[str, Any]  # arrays by name; a batch of rows


def export_graph(store: RagStore, directory: Path, batch: int = BATCH) -> list[Path]:
    """Write all tables of ``store`` into ``directory``, replacing files of their names; the files.

    :param batch: rows in memory at a time
    :raises UserError: if a table is not finished or not as it was written, the database is damaged, or pyarrow is missing
    """
    _pyarrow()
    store.check()
    made = {table: _finished(store, table) for table in (NODES, *map(edges_table, store.merge_functions()))}
    directory.mkdir(parents=True, exist_ok=True)
    paths = [_write(directory / f"{NODES}.parquet", NODE_COLUMNS, made.pop(NODES), _node_batches(store, batch))]
    for table, provenance in made.items():
        batches = _edge_batches(store, table.removeprefix("edges_"), batch)
        paths.append(_write(directory / f"{table}.parquet", EDGE_COLUMNS, provenance, batches))
    return paths


def import_graph(store: RagStore, directory: Path, overwrite: bool = False, batch: int = BATCH,
                 facts: Mapping[str, Any] | None = None) -> list[str]:
    """Put the tables of ``directory`` into ``store``; their names, but for those that are there already.

    They come into tables beside those of ``store``, and take their place once all rows have been read: until then, and if
    the import fails or is killed, ``store`` holds what it held. A replaced graph needs its space until the new one is there.

    :param overwrite: replace what ``store`` holds
    :param facts: take the place of what the file says of the nodes, such as whose they are
    :raises UserError: as :func:`read_provenances` does, if a file is damaged, or if ``store`` holds other tables
    """
    made = read_provenances(directory)
    store.check()
    made[NODES] |= facts or {}
    paths = {table: directory / f"{table}.parquet" for table in made}
    missing = [table for table in made if overwrite or _is_missing(store, table, made[table], directory)]
    incoming = store.receive()
    try:
        for table in missing:
            incoming.create(table)
            if table == NODES:
                _import_nodes(incoming, paths[table], batch)
            else:
                _import_edges(incoming, table.removeprefix("edges_"), paths[table], batch)
        if missing:
            incoming.take_over({table: made[table] for table in missing}, overwrite)
    except UserError as error:
        if not isinstance(error, Unavailable):
            incoming.discard()
        raise
    return missing


def read_provenances(directory: Path) -> dict[str, dict[str, Any]]:
    """What made the tables in ``directory``, by their names: the nodes first.

    :raises UserError: if a file is missing, is called or looks otherwise than those of :func:`export_graph`, or pyarrow is
        missing
    """
    _pyarrow()
    nodes = directory / f"{NODES}.parquet"
    if not nodes.is_file():
        raise UserError(f"{nodes}: no such file. Name a directory that export_graph.py wrote")
    edges = sorted(directory.glob("edges_*.parquet"))
    for path in edges:
        if not names_table(path.stem.removeprefix("edges_")):
            raise UserError(f"{path}: no name of a file that export_graph.py wrote: edges_<merge function>.parquet, in small "
                            "letters, digits and _. Rename it, or take it away")
    return {path.stem: _provenance(path, NODE_COLUMNS if path == nodes else EDGE_COLUMNS) for path in (nodes, *edges)}


def _finished(store: RagStore, table: str) -> dict[str, Any]:
    stage = store.stage(table)
    if stage is None or not stage[1]:
        raise UserError(f"{store.name}: {table} is not finished. Run {'extract_fragments' if table == NODES else 'agglomerate'} "
                        "first")
    return stage[0]


def _is_missing(store: RagStore, table: str, made: dict[str, Any], directory: Path) -> bool:
    """Whether to import a table.

    :raises UserError: if ``store`` has another one of the name, or this one with other rows
    """
    stage = store.stage(table)
    if stage is None:
        return True
    if stage != (made, True):
        raise UserError(f"{store.name} holds {table} that are not those of {directory}. Name another 'db', or replace all with "
                        "--overwrite")
    try:
        store.check_rows(table)
    except GraphChangedError as error:
        raise UserError(f"{error.what}. Replace all with --overwrite") from error
    return False


def _node_batches(store: RagStore, batch: int) -> Iterator[Columns]:
    for ids, centers in store.checked_nodes(batch):
        yield dict(zip(NODE_COLUMNS, (ids.astype(np.int64), *centers.T), strict=True))


def _edge_batches(store: RagStore, merge_function: str, batch: int) -> Iterator[Columns]:
    for u, v, *values in store.checked_edges(merge_function, batch):
        yield dict(zip(EDGE_COLUMNS, (u.astype(np.int64), v.astype(np.int64), *values), strict=True))


def _write(path: Path, columns: dict[str, str], made: dict[str, Any], batches: Iterable[Columns]) -> Path:
    """Write a file, one row group per batch; beside ``path`` at first, so that a file of its name is whole."""
    pyarrow, parquet = _pyarrow()
    schema = pyarrow.schema([pyarrow.field(name, kind, nullable=name == "merge_score") for name, kind in columns.items()],
                            metadata={PROVENANCE: json.dumps(made)})
    beside = path.with_name(f".{path.name}.new")
    try:
        with parquet.ParquetWriter(beside, schema, compression="zstd", write_page_checksum=True) as writer:
            for values in batches:
                arrays = [pyarrow.array(values[name], from_pandas=True) for name in columns]  # NaN becomes null
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def _provenance(path: Path, columns: dict[str, str]) -> dict[str, Any]:
    """What made the table in a file.

    :raises UserError: if this is not such a file
    """
    pyarrow, parquet = _pyarrow()
    try:
        schema = parquet.read_schema(path)
        made = json.loads((schema.metadata or {}).get(PROVENANCE, b"null"))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: no Parquet file, or a part of one ({str(error).splitlines()[0]}). Export it again") from error
    if not isinstance(made, dict) or {field.name: str(field.type) for field in schema} != columns:
        raise UserError(f"{path}: columns {', '.join(schema.names)}: no table that export_graph.py wrote, which has "
                        f"{', '.join(columns)}, and 'provenance' in its metadata. Name another directory")
    return made


def _read(path: Path, keys: tuple[str, ...], batch: int) -> Iterator[Columns]:
    """The rows of a file.

    :raises UserError: if it is damaged, or ``keys`` do not ascend strictly
    """
    pyarrow, parquet = _pyarrow()
    last: tuple[int, ...] | None = None
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            for rows in file.iter_batches(batch):
                values = {name: rows.column(name).to_numpy(zero_copy_only=False) for name in rows.schema.names}
                pairs = np.stack([values[keys[0]], values[keys[-1]]])
                if last is not None:
                    pairs = np.concatenate([np.array(last)[:, None], pairs], axis=1)
                steps = np.diff(pairs)
                if not np.all((steps[0] > 0) | ((steps[0] == 0) & (steps[1] > 0))):
                    raise UserError(f"{path}: the rows do not ascend by {', '.join(keys)}, or one is there twice. Sort them")
                last = tuple(pairs[:, -1].tolist())
                yield values
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: damaged ({str(error).splitlines()[0]}). Export it again") from error


def _import_nodes(incoming: Incoming, path: Path, batch: int) -> None:
    for values in _read(path, ("id",), batch):
        ids = values["id"].astype(np.uint64)
        centers = np.stack([values[name] for name in ("center_z", "center_y", "center_x")], axis=1)
        incoming.write_nodes(ids, centers)


def _import_edges(incoming: Incoming, merge_function: str, path: Path, batch: int) -> None:
    """Each batch as if a block had found and scored it."""
    for block, values in enumerate(_read(path, ("u", "v"), batch)):
        incoming.write_edges(merge_function, block, values["u"].astype(np.uint64), values["v"].astype(np.uint64),
                             values["merge_score"].astype(np.float64), values["affinity_sum"], values["contacts"])


def _pyarrow() -> tuple[Any, Any]:
    """pyarrow, and its module for Parquet.

    :raises UserError: if it is not installed
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError("Parquet needs pyarrow, which is not installed: .venv/bin/pip install --constraint constraints.txt "
                        "pyarrow") from None
    return pyarrow, pyarrow.parquet
