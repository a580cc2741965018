"""Contacts: the faces over which two fragments touch, and the affinities there.

A face lies between a voxel v and the one before, v - e_k along axis k. Its affinity is stored at v, its upper voxel::

    fragments    1 | 2        affs[2] (x)    . | a        pair (1, 2): sum a, one contact
                     ^ upper voxel

A face belongs to the block that writes its upper voxel. Each face is one block's, so that sums over blocks are those of
the whole volume, and for uint8 affinities, whose sums are whole numbers, exactly so.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.agglomeration.agglomerating import DIRECT, Edges, agglomerate
from lsd_experiments.agglomeration.functions import CONTACT_MEAN
from lsd_experiments.geometry import Box
from lsd_experiments.rag.edges import FULL_AFFINITY

Ids = NDArray[np.uint64]
Contacts = tuple[Ids, Ids, NDArray[np.float64], NDArray[np.int64]]


def find_contacts(affs: NDArray[Any], fragments: Ids, own: Box | None = None) -> Contacts:
    """The contacts between ``fragments``, 6 neighbours, for faces whose upper voxel is in ``own``.

    :param affs: [c, z, y, x], c >= 3, uint8 or float in [0, 1]; the first three are those of the direct neighbours
    :param fragments: [z, y, x], 0 is no fragment
    :param own: voxels of these arrays (default: all); one voxel before it must be in the arrays, unless there is none
    :return: fragment ids u < v of each pair, in order; the sum of the affinities in units of 1/255; the number of faces
    """
    from lsd_experiments.agglomeration.contact_kernels import sum_contacts

    own = Box.of_shape(fragments.shape) if own is None else own
    assert Box.of_shape(fragments.shape).contains(own), f"{own} is not in arrays of shape {fragments.shape}"
    direct = np.ascontiguousarray(affs[:DIRECT], None if affs.dtype == np.uint8 else np.result_type(affs.dtype, np.float32))
    scale = 1.0 if affs.dtype == np.uint8 else float(FULL_AFFINITY)
    pairs, sums, counts = sum_contacts(direct, np.ascontiguousarray(fragments, np.uint64), own.begin, own.end, scale)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order, 0], pairs[order, 1], sums[order], counts[order]


def mean_scores(affs: NDArray[Any], fragments: Ids) -> Edges:
    """The region graph of whole ``fragments`` with the merge scores of ``contact_mean``; see :func:`find_contacts`."""
    u, v, sums, counts = find_contacts(affs, fragments)
    return u, v, 1 - sums / (FULL_AFFINITY * counts)


@dataclass(frozen=True)
class BlockEdges:
    """What a block knows of edges, as :meth:`~lsd_experiments.rag.RagStore.write_edges` takes it."""

    u: Ids
    v: Ids
    scores: NDArray[np.float64]
    affinity_sums: NDArray[np.float64]
    contacts: NDArray[np.int64]
    scored: NDArray[np.bool_]


def find_block_edges(affs: NDArray[Any], fragments: Ids, own: Box, merge_function: str) -> BlockEdges:
    """The edges that the block with write box ``own`` has contacts of, or gives their merge scores.

    It scores those whose lower fragment is in ``own``, which must be whole and seen with all its contacts; for
    ``contact_mean`` none: the sums over all blocks are their scores, so that fragments may cross blocks.

    :param affs: and ``fragments``, ``own``: see :func:`find_contacts`
    """
    import fastremap

    u, v, sums, contacts = find_contacts(affs, fragments, own)
    if merge_function == CONTACT_MEAN:
        return BlockEdges(u, v, np.full(len(u), np.nan), sums, contacts, np.zeros(len(u), bool))
    a, b, scores = agglomerate(affs, fragments, merge_function)
    inside = np.isin(a, fastremap.unique(fragments[own.slices]))
    pairs_u, pairs_v, where = _unique_pairs(np.concatenate([u, a[inside]]), np.concatenate([v, b[inside]]))
    touched, given = where[:len(u)], where[len(u):]
    edges = BlockEdges(pairs_u, pairs_v, np.full(len(pairs_u), np.nan), np.zeros(len(pairs_u)),
                       np.zeros(len(pairs_u), np.int64), np.zeros(len(pairs_u), bool))
    edges.affinity_sums[touched], edges.contacts[touched] = sums, contacts
    edges.scores[given], edges.scored[given] = scores[inside], True
    return edges


def _unique_pairs(u: Ids, v: Ids) -> tuple[Ids, Ids, NDArray[np.int64]]:
    """The different pairs (u, v) in order, and where each of the given ones is among them."""
    order = np.lexsort((v, u))
    u, v = u[order], v[order]
    new = np.ones(len(u), bool)
    new[1:] = (u[1:] != u[:-1]) | (v[1:] != v[:-1])
    where = np.empty(len(u), np.int64)
    where[order] = np.cumsum(new) - 1
    return u[new], v[new], where
