"""Tables of the region graph that a stage writes block by block."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.provenance import now
from lsd_experiments.rag import RagStore, database_exists, is_url, open_store
from lsd_experiments.rag.nodes import NODES
from lsd_experiments.stages.states import State, container_id, state_of
from lsd_experiments.stages.volumes import VolumeArtifact
from lsd_experiments.writing import check_writable


@dataclass(frozen=True)
class TableArtifact:
    """The rows of ``blocks`` blocks in ``table`` of the region graph ``db``: ``nodes``, or ``edges_<merge function>``.

    :param fragments: of nodes: the volume that they are of. The graph belongs to it, and all of it is cleared with them
    """

    db: str
    table: str
    blocks: int
    fragments: VolumeArtifact | None = None
    bytes = 0  # is not known beforehand

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.table} in {self.db}"

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of the table."""
        with self._open() as store:
            stage = store.stage(self.table) if store is not None else None
        return stage[0] if stage else {}

    def state(self, made: Mapping[str, Any]) -> State:
        """What there is of the table.

        :raises UserError: if the region graph is of other fragments, or a file for it could not be written
        """
        with self._open() as store:
            if store is None:
                self._check_place()
            stage = store.stage(self.table) if store is not None else None
            if store is None or stage is None:
                return State("new")
            name = store.name
            lost = store.lost_rows(self.table) if stage[1] else ""
        self._check_owner(stage[0], name)
        state = state_of(f"{self.table} in {name}", *stage, made)
        return State("stale", f"{self.table} in {name}: {lost}") if state.kind == "done" and lost else state

    def prepare(self, made: dict[str, Any], anew: bool) -> None:
        """Make ready the table; nodes of another provenance are forgotten, too."""
        with open_store(self.db, create=self.fragments is not None) as store:
            stage = store.stage(self.table)
            if anew or stage is None or stage[0].get("key") != made["key"]:
                self._clear(store)
                store.begin_stage(self.table, {**made, "date": now(), **self._owner(create=True)})
            if self.table != NODES:
                store.create_edges(self._merge_function)  # also if the table alone was lost

    def missing_blocks(self, done: NDArray[np.int64]) -> dict[str, list[int]]:
        """Those of the blocks ``done`` whose rows the region graph does not hold as they wrote them: why, which."""
        with open_store(self.db) as store:
            return {f"their {self.table} are not in {store.name}": store.missing_blocks(self.table, done)}

    def finish(self) -> None:
        """Note that all blocks are done.

        :raises UserError: if what they wrote is not all there
        """
        with open_store(self.db) as store:
            missing = store.missing_blocks(self.table, np.arange(self.blocks))
            if missing:
                raise UserError(f"{store.name}: what {len(missing)} of {self.blocks} blocks wrote of {self.table} is not there: "
                                "an older copy of the region graph was put in its place, or another program writes to it. Run "
                                "the same command again")
            store.check_count(self.table)
            store.finish_stage(self.table, count=store.count_nodes() if self.table == NODES else
                               store.count_edges(self._merge_function))

    def report(self) -> str:
        """How many rows there are."""
        with open_store(self.db, readonly=True) as store:
            stage = store.stage(self.table)
            return f"{store.name}: {self.table}, {stage[0].get('count') if stage else 0} {self.table.partition('_')[0]}"

    @property
    def _merge_function(self) -> str:
        return self.table.removeprefix("edges_")

    @contextmanager
    def _open(self) -> Iterator[RagStore | None]:
        """The region graph, to be read; None if there is none."""
        if not database_exists(self.db):
            yield None
            return
        with open_store(self.db, readonly=True) as store:
            yield store

    def _clear(self, store: RagStore) -> None:
        if self.table == NODES:
            return store.clear()
        store.clear_edges(self._merge_function)

    def _owner(self, create: bool = False) -> dict[str, Any]:
        """What a region graph says of the fragments that it belongs to."""
        if self.fragments is None:
            return {}
        container, dataset = self.fragments.container, self.fragments.dataset
        return {"fragments": f"{Path(container).name}:{dataset}", "container": container_id(container, create)}

    def _check_owner(self, stored: Mapping[str, Any], name: str) -> None:
        """:raises UserError: if the region graph is of other fragments"""
        if self.fragments is None:
            return
        place, owner = str(stored.get("fragments")), self._owner()["container"]
        if place.rpartition(":")[2] != self.fragments.dataset or owner is None or stored.get("container") != owner:
            raise UserError(f"{name} holds the region graph of {place}, in another container than {self.fragments.name}. Name "
                            "another 'db', or remove it yourself")

    def _check_place(self) -> None:
        """:raises UserError: if a new SQLite file could not be written"""
        if is_url(self.db):
            return
        try:
            check_writable(Path(self.db).parent)
        except OSError as error:
            raise UserError(f"{self.db}: cannot be written ({error.strerror}). Name another 'db'") from error
