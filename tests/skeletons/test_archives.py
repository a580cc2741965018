"""NetworkX graphs in pickles and NumPy's archives, of NetworkX 1, 2 and 3; nothing of NetworkX is imported to read them.

The challenge's files are named ``.npz``, and may be any of what ``np.load(..., allow_pickle=True)`` reads.
"""

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.skeletons import Skeletons, read_skeletons, write_skeletons

# A module that is called networkx.classes.graph, with a class whose instances have the attributes that NetworkX gives them:
# 1 (node, adj, edge), 2.0 and 2.1 (also factories, and the graph itself as root_graph), 2.2 and later (_node, _adj), 3 (also what
# was asked for). Pickled in each protocol.
FAKE = """
import pickle, sys, types
import numpy as np

names = ("networkx", "networkx.classes", "networkx.classes.graph", "networkx.classes.reportviews", "networkx.classes.coreviews")
modules = {name: types.ModuleType(name) for name in names}
sys.modules.update(modules)

class Graph: pass
class NodeView: pass
class AdjacencyView: pass
for module, cls in (("graph", Graph), ("reportviews", NodeView), ("coreviews", AdjacencyView)):
    cls.__module__, cls.__qualname__ = "networkx.classes." + module, cls.__name__
    setattr(modules[cls.__module__], cls.__name__, cls)

layout, path = sys.argv[1:]
nodes = {70: {"position": (1.0, 2.0, 3.0)}, 50: {"position": [4, 5, 6]}, 60: {"position": np.array([7.5, 8, 9])},
         np.int64(80): {"position": np.float32([0, 0, 1]), "skeleton_id": 3}}
neighbours = {70: {50: {"edge_length": 1.0}}, 50: {70: {"edge_length": 1.0}, 60: {}}, 60: {50: {}, 60: {}}, 80: {}}
graph = Graph()
if layout == "1":
    graph.__dict__.update(graph={}, node=nodes, adj=neighbours, edge=neighbours)
elif layout == "2.0":
    graph.__dict__.update(node_dict_factory=dict, adjlist_outer_dict_factory=dict, adjlist_inner_dict_factory=dict,
                          edge_attr_dict_factory=dict, root_graph=graph, graph={}, _node=nodes, _adj=neighbours)
elif layout == "2.8":
    graph.__dict__.update(graph={"name": "x"}, _node=nodes, _adj=neighbours)
else:
    views = NodeView(), AdjacencyView()
    views[0].__dict__.update(_nodes=nodes)
    views[1].__dict__.update(_atlas=neighbours)
    graph.__dict__.update(graph={}, _node=nodes, _adj=neighbours, nodes=views[0], adj=views[1])
for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    with open(f"{path}/{protocol}.npz", "wb") as file:
        pickle.dump(graph, file, protocol)
"""
EXPECTED = {70: (3, 2, 1), 50: (6, 5, 4), 60: (9, 8, 7.5), 80: (1, 0, 0)}
EDGES = {(50, 70), (50, 60)}


def content(skeletons: Skeletons):
    """Positions by id, and edges as pairs of ids."""
    ids = skeletons.ids.tolist()
    return (dict(zip(ids, map(tuple, skeletons.positions.tolist()), strict=True)),
            {tuple(sorted((ids[a], ids[b]))) for a, b in skeletons.edges.tolist()})


@pytest.mark.parametrize("layout", ["1", "2.0", "2.8", "3"])
def test_graphs_of_each_version(layout, tmp_path) -> None:
    subprocess.run([sys.executable, "-c", FAKE, layout, tmp_path], check=True)
    assert len(list(tmp_path.iterdir())) == 6
    for path in tmp_path.iterdir():
        assert content(read_skeletons(path)) == (EXPECTED, EDGES), path


def test_nothing_of_networkx_is_imported(tmp_path) -> None:
    subprocess.run([sys.executable, "-c", FAKE, "3", tmp_path], check=True)
    code = f"import sys; from lsd_experiments.skeletons import read_skeletons; read_skeletons({str(tmp_path / '4.npz')!r}); "
    ended = subprocess.run([sys.executable, "-c", code + "assert 'networkx' not in sys.modules"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def graph():
    networkx = pytest.importorskip("networkx")
    graph = networkx.Graph()
    for node, (z, y, x) in EXPECTED.items():
        graph.add_node(node, position=(x, y, z))
    graph.add_edges_from(EDGES)
    assert list(graph.nodes) == list(EXPECTED)  # what was asked for is pickled, too
    assert len(graph.edges) == len(graph.adj[50])
    return graph


def objects(*values) -> np.ndarray:
    """An array of objects, as np.savez makes it of what is no array."""
    array = np.empty(len(values), object)
    array[:] = values
    return array if len(values) > 1 else array.reshape(())


def test_a_real_graph_however_it_is_saved(graph, tmp_path) -> None:
    np.savez(tmp_path / "archive.npz", any_name=objects(graph))
    np.savez_compressed(tmp_path / "compressed.npz", objects(graph))
    np.save(tmp_path / "array.npy", objects(graph))
    for name in ("bare.npz", "bare.pkl", "bare.gpickle"):
        (tmp_path / name).write_bytes(pickle.dumps(graph))
    (tmp_path / "multi.pkl").write_bytes(pickle.dumps(type(graph)(graph).to_directed()))
    for path in tmp_path.iterdir():
        assert content(read_skeletons(path)) == (EXPECTED, EDGES), path


def test_several_graphs(graph, tmp_path) -> None:
    np.savez(tmp_path / "two.npz", objects(graph, graph.copy()))
    (tmp_path / "dict.pkl").write_bytes(pickle.dumps({"a": [graph], "b": (graph.copy(), graph)}))
    for path in tmp_path.iterdir():
        two = read_skeletons(path)
        assert two.ids.tolist() == list(range(8)), "ids that repeat are replaced"
        assert two.components.tolist() == [0, 0, 0, 1, 2, 2, 2, 3]


def test_nodes_that_are_no_numbers(graph, tmp_path) -> None:
    import networkx

    named = networkx.relabel_nodes(graph, {70: "soma", 50: (1, "b")})
    (tmp_path / "named.pkl").write_bytes(pickle.dumps(named))
    read = read_skeletons(tmp_path / "named.pkl")
    assert (read.ids.tolist(), len(read.edges)) == ([0, 1, 2, 3], 2)


@pytest.mark.parametrize(("change", "message"), [
    (lambda g: g.add_node(9), r"node 9 has no attribute 'position' \(x, y, z in nm\), but \[\]"),
    (lambda g: g.add_node(9, position=(1, 2)), r"node 9: its position is \(1, 2\), not x, y, z in nm"),
    (lambda g: g.add_node(9, position="xyz"), "node 9: its position is 'xyz', not x, y, z in nm"),
    (lambda g: g.add_node(9, position=(1, 2, float("nan"))), r"node 9: its position \(1\.0, 2\.0, nan\) is not finite"),
    (lambda g: g._adj[70].update({9: {}}), "an edge leads from node 70 to 9, of which one is not there"),
    (lambda g: g._adj.update({70: []}), "the neighbours of node 70 are a list"),
    (lambda g: g.__dict__.pop("_node"), r"its graph has no attribute _node or node, but \['__networkx_cache__', '_adj'"),
])
def test_mistakes_in_graphs(graph, change, message, tmp_path) -> None:
    path = tmp_path / "graph.npz"
    change(graph)
    path.write_bytes(pickle.dumps(graph))
    with pytest.raises(UserError, match=message) as raised:
        read_skeletons(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_part_of_a_graph_is_to_be_copied(graph, tmp_path) -> None:
    (tmp_path / "part.pkl").write_bytes(pickle.dumps(graph.subgraph([70, 50]).copy()))
    assert set(read_skeletons(tmp_path / "part.pkl").ids.tolist()) == {70, 50}


def test_files_without_a_graph(tmp_path) -> None:
    path = tmp_path / "a.npz"

    def refused(message: str) -> None:
        with pytest.raises(UserError, match=message) as raised:
            read_skeletons(path)
        assert "\n" not in str(raised.value)

    path.write_bytes(pickle.dumps([1, 2]))
    refused("holds no NetworkX graph, but a list")
    path.write_bytes(pickle.dumps(Path("x")))
    refused(r"holds no NetworkX graph, but a pathlib\..*Path")
    path.write_bytes(b"")
    refused(r"cannot be read \(not a pickle that can be read as data: ")
    path.write_bytes(b"PK\x03\x04" + b"\x00" * 100)
    refused("cannot be read")
    np.savez(path, np.zeros(3))
    refused("arr_0: holds no NetworkX graph, but an array of float64")
    np.savez(path, a=np.zeros(3), b=np.zeros(3))
    refused("holds a, b; needs one graph, or the arrays positions, edges, ids")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.npy", "no array")
    refused("cannot be read")


def test_a_truncated_archive(tmp_path) -> None:
    path, whole = tmp_path / "a.npz", tmp_path / "whole.npz"
    write_skeletons(whole, Skeletons.of([(0, 0, 0), (1, 1, 1)], [(0, 1)]))
    data = whole.read_bytes()
    for length in range(1, len(data), 37):
        path.write_bytes(data[:length])
        with pytest.raises(UserError, match="cannot be read"):
            read_skeletons(path)


def test_an_archive_that_unpacks_to_much_is_not_unpacked(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, np.zeros(1_000_000))
    assert path.stat().st_size < 50_000
    monkeypatch.setattr("lsd_experiments.skeletons.archives.LARGEST", 1_000_000)
    with pytest.raises(UserError, match="'arr_0' unpacks to 8000128 bytes, more than 1000000"):
        read_skeletons(path)


@pytest.mark.parametrize(("changes", "message"), [
    ({"positions": np.zeros((3, 2))}, r"positions is an array of float64 of shape \(3, 2\), not \[n, 3\] numbers"),
    ({"positions": np.array([["a"] * 3] * 3)}, "positions is an array of <U1"),
    ({"positions": np.full((3, 3), np.inf)}, "a position is not finite"),
    ({"edges": np.zeros((1, 2))}, r"edges is an array of float64"),
    ({"edges": np.array([[0, 3]])}, "an edge leads beyond the 3 nodes"),
    ({"ids": np.arange(2)}, "ids is an array of int64 of shape .*, not 3 whole numbers"),
])
def test_mistakes_in_arrays(changes, message, tmp_path) -> None:
    arrays = {"positions": np.zeros((3, 3)), "edges": np.array([[0, 1]]), "ids": np.array([5, 6, 7])}
    np.savez(tmp_path / "a.npz", **arrays)
    assert read_skeletons(tmp_path / "a.npz").ids.tolist() == [5, 6, 7]
    np.savez(tmp_path / "a.npz", **{**arrays, **changes})
    with pytest.raises(UserError, match=message):
        read_skeletons(tmp_path / "a.npz")


def test_arrays_without_ids_or_with_equal_ones(tmp_path) -> None:
    arrays = {"positions": np.zeros((3, 3)), "edges": np.array([[0, 1]])}
    np.savez(tmp_path / "a.npz", **arrays)
    assert read_skeletons(tmp_path / "a.npz").ids.tolist() == [0, 1, 2]
    np.savez(tmp_path / "a.npz", **arrays, ids=[4, 4, 4])
    assert read_skeletons(tmp_path / "a.npz").ids.tolist() == [0, 1, 2]


def test_no_pickle_runs(tmp_path) -> None:
    """An archive whose graph would make a file, and the same, loaded as usual."""
    marker = tmp_path / "marker"

    class Harmful:
        def __reduce__(self):
            return exec, (f"open({str(marker)!r}, 'w').close()",)

    np.savez(tmp_path / "a.npz", graph=objects(Harmful()))
    with pytest.raises(UserError, match=r"graph: holds no NetworkX graph, but an array of object of shape \(\)"):
        read_skeletons(tmp_path / "a.npz")
    assert not marker.exists()
    np.load(tmp_path / "a.npz", allow_pickle=True)["graph"]
    assert marker.exists()
