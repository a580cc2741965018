"""The region graph (RAG) of all fragments: a SQLite file with nodes, and one table of edges per merge function.

Tables, named as the published databases name their collections:

- ``nodes``: ``id``, and ``center_z``, ``center_y``, ``center_x``, the centre of mass in nm;
- ``edges_<merge function>``: ``u`` < ``v``, neighbouring fragments, and ``merge_score``, NULL if the two never unite;
- ``stages``: what made the tables, see :mod:`lsd_experiments.provenance`, and when it was finished.

Ids are at most 2**63 - 1, since SQLite's integers are signed.
"""

from lsd_experiments.rag.store import RagStore

__all__ = ["RagStore"]
