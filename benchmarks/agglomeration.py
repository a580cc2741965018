"""Agglomeration of a block's fragments beside waterz with the published post-processing, on one thread each.

    python benchmarks/agglomeration.py                          # 80 x 250 x 250 voxels, 3-D and per section: a minute
    python benchmarks/agglomeration.py --shape 160 250 250 --merge-function hist_quant_50

Affinities are made as in fragments.py, the fragments are ours of them. Both candidates get uint8 affinities and uint64 ids with
gaps, run the same waterz, and give all edges with their merge scores, NaN where two never unite. The peer goes on in Python
as the published code does: a networkx graph of the edges, a merge tree (that of the package lsds, of networkx with
Cython), and its search for each edge. "ours, block" is what the stage does to a block: it also adds up the affinities and the
faces of each contact, which the published code does not know.

Edges and scores must be equal. Growth is that of ours over parts of the volume, and with one fragment that all others lie in:
the exponent is the slope of log(CPU s) against log(edges), near 1 where no step is quadratic.
"""

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import HEADER, Run, affinities_like_predicted, fib25_labels, machine, rows, take_turns

Edges = tuple[np.ndarray, np.ndarray, np.ndarray]


def prepare(path: str, in_sections: bool, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Affinities of one of so many parts along y, and their fragments, with ids as in the tenth block."""
    from lsd_experiments.fragments import watershed_fragments

    affs = np.load(path)
    affs = np.ascontiguousarray(affs[:, :, :affs.shape[2] // parts])
    fragments = watershed_fragments(affs, in_sections)
    return affs, np.where(fragments > 0, fragments + np.uint64(10 * fragments.size), np.uint64(0))


def corner(affs: np.ndarray, fragments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the first call gets, so that all is compiled: little, but with edges."""
    return affs[:, :10, :80, :80], fragments[:10, :80, :80]


def ours(path: str, in_sections: bool, merge_function: str, parts: int = 1) -> Callable[[], Edges]:
    from lsd_experiments.agglomeration import agglomerate

    affs, fragments = prepare(path, in_sections, parts)
    agglomerate(*corner(affs, fragments), merge_function)
    return lambda: agglomerate(affs, fragments, merge_function)


def block(path: str, in_sections: bool, merge_function: str, parts: int = 1) -> Callable[[], int]:
    from lsd_experiments.agglomeration.contacts import find_block_edges
    from lsd_experiments.geometry import Box

    affs, fragments = prepare(path, in_sections, parts)
    find_block_edges(*corner(affs, fragments), Box.of_shape((4, 8, 8)), merge_function)
    return lambda: len(find_block_edges(affs, fragments, Box.of_shape(fragments.shape), merge_function).u)


def hub(side: int) -> Callable[[], int]:
    """One fragment that thousands of others lie in: what a quadratic step would notice first."""
    from lsd_experiments.agglomeration import agglomerate

    fragments = np.full((8, side, side), 10**7, np.uint64)
    islands = fragments[::2, ::2, ::2]
    islands[...] = 1 + np.random.default_rng(0).permutation(islands.size).reshape(islands.shape)
    affs = np.random.default_rng(0).integers(100, 255, (3, *fragments.shape), np.uint8)
    agglomerate(*corner(affs, fragments), "mean")
    return lambda: len(agglomerate(affs, fragments, "hist_quant_75")[0])


def published(path: str, in_sections: bool, merge_function: str) -> Callable[[], Edges]:
    affs, fragments = prepare(path, in_sections, 1)
    tree = merge_tree()
    agglomerate_as_published(*corner(affs, fragments), merge_function, tree)
    return lambda: agglomerate_as_published(affs, fragments, merge_function, tree)


def merge_tree() -> Any:
    """lsds' class, from its file: lsd.post does not import under current SciPy."""
    import lsd

    path = next((Path(lsd.__file__).parent / "post").glob("merge_tree*.so"))
    spec = importlib.util.spec_from_file_location("lsd.post.merge_tree", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return type("MergeTree", (module.MergeTree,), {"node": property(lambda tree: tree.nodes)})  # as networkx 1 had it


def agglomerate_as_published(affs: np.ndarray, fragments: np.ndarray, merge_function: str, tree: Any) -> Edges:
    """As lsd.post.agglomerate_in_block does it, without reading and writing."""
    import fastremap
    import networkx
    import waterz

    from lsd_experiments.agglomeration import scoring_function

    values, inverse = fastremap.unique(fragments, return_inverse=True)
    compact = (inverse.reshape(fragments.shape) + (values[0] > 0)).astype(np.uint64)  # in order of ids: ties go by number
    ids = dict(enumerate(([0] if values[0] > 0 else []) + values.tolist()))
    steps = waterz.agglomerate(affs=affs[:3].astype(np.float32) / 255, thresholds=[0, 1.0], fragments=compact,
                               scoring_function=scoring_function(merge_function), discretize_queue=256,
                               return_merge_history=True, return_region_graph=True)
    graph = networkx.Graph()
    for edge in next(steps)[2]:
        graph.add_edge(ids[edge["u"]], ids[edge["v"]], merge_score=None, agglomerated=True)
    history = next(steps)[1]
    merges = tree(list(ids.values()))
    for merge in history:
        merges.merge(ids[merge["a"]], ids[merge["b"]], ids[merge["c"]], merge["score"])
    for u, v, data in graph.edges(data=True):
        data["merge_score"] = merges.find_merge(u, v)
    edges = [(min(u, v), max(u, v), data["merge_score"]) for u, v, data in graph.edges(data=True)]
    u, v, scores = zip(*edges, strict=True)
    return np.array(u, np.uint64), np.array(v, np.uint64), np.array(scores, np.float64)


def sort(edges: Edges) -> Edges:
    order = np.lexsort((edges[1], edges[0]))
    return edges[0][order], edges[1][order], edges[2][order]


def growth(name: str, runs: Iterable[Run]) -> str:
    """In words; the result of a run is its number of edges."""
    edges, seconds = zip(*((run.result, run.cpu) for run in runs), strict=True)
    slope = np.polyfit(np.log(edges), np.log(seconds), 1)[0]
    each = ", ".join(f"{count} edges {cpu:.3f} s" for count, cpu in zip(edges, seconds, strict=True))
    return f"{name}: exponent {slope:.2f} ({each})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(80, 250, 250), help="at most 160 250 250 (default: 80 250 250)")
    parser.add_argument("--merge-function", default="hist_quant_75", help="of waterz's (default: hist_quant_75)")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each, of which the best counts (default: 2)")
    options = parser.parse_args()
    source, labels = fib25_labels()
    affs = affinities_like_predicted(labels[tuple(slice(size) for size in options.shape)])
    shape = " x ".join(map(str, affs.shape[1:]))
    print(f"{machine()}\naffinities of: {source}, {shape} voxels; {options.merge_function}; one thread each\n\n{HEADER}")
    exponents = []
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/affs.npy"
        np.save(path, affs)
        for name, in_sections in {"3-D": False, "per section": True}.items():
            arguments = (path, in_sections, options.merge_function)
            runs = take_turns({"ours": (ours, *arguments), "ours, block": (block, *arguments),
                               "waterz + Python": (published, *arguments)}, options.repeat)
            mine, theirs = sort(runs["ours"].result), sort(runs["waterz + Python"].result)
            for one, other in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(one, other)
            print(rows(f"{len(mine[0])} edges, {name}", runs), flush=True)
            parts = take_turns({str(part): (block, *arguments, part) for part in (1, 2, 4)}, options.repeat)
            exponents.append(growth(f"ours, block, {name}", parts.values()))
    hubs = take_turns({str(side): (hub, side) for side in (256, 128, 64)}, options.repeat)
    exponents.append(growth("ours, fragments within one", hubs.values()))
    print("\nedges and scores of both are equal; growth", *exponents, sep="\n")


if __name__ == "__main__":
    main()
