"""The region graph (RAG) of all fragments: a database with nodes, and one table of edges per merge function.

Tables, named as the published databases name their collections:

- ``nodes``: ``id``, and ``center_z``, ``center_y``, ``center_x``, the centre of mass in nm;
- ``edges_<merge function>``: what each ``block`` knows of each pair ``u`` < ``v`` of neighbouring fragments, see
  :mod:`lsd_experiments.rag.edges`;
- ``stages``: what made the tables, see :mod:`lsd_experiments.provenance`, and when it was finished.

Ids are at most 2**63 - 1, since the integers of databases are signed.
"""

from lsd_experiments.rag.address import is_url, split_password
from lsd_experiments.rag.store import RagStore, database_exists, open_store

__all__ = ["RagStore", "database_exists", "is_url", "open_store", "split_password"]
