"""Small files of strangers, cut off, with bits flipped and bytes replaced: the right value, or a UserError of one line.

Where a format has checksums (zip, TensorFlow's bundles), whatever is read is what was written; texts may say something else.
"""

import copy
import io
import json
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from lsd_experiments import networks
from lsd_experiments.checkpoints import read_checkpoint
from lsd_experiments.checkpoints.bundle import open_bundle
from lsd_experiments.checkpoints.comparing import weight_shapes
from lsd_experiments.errors import UserError
from lsd_experiments.families.xpress.haiku import haiku_names, read_haiku
from lsd_experiments.networks import Head, Network
from lsd_experiments.pipeline.settings import PipelineSettings
from lsd_experiments.segmentation.luts import read_lut
from lsd_experiments.settings import load_settings
from lsd_experiments.skeletons import Skeletons, read_skeletons, write_skeletons
from tests.checkpoints.conftest import variables, write
from tests.checkpoints.conftest import weight_shapes as published_shapes

SKELETONS = Skeletons.of([(40, 10, 4.6), (80, 10.5, 4.6), (-3, 1e6, 0.1)], [(0, 1), (1, 2)], [30, 20, 10])
NETWORK = Network(1, 1, ((2, 2, 2),), (Head("affs", 3),), architecture="funlib")
NML = """<?xml version="1.0" encoding="utf-8"?>
<things><parameters><scale x="4.6" y="10" z="40"/></parameters>
<thing id="1"><nodes><node id="1" x="1" y="2" z="3"/><node id="2" x="1" y="2" z="4"/></nodes>
<edges><edge source="1" target="2"/></edges></thing></things>
"""


class Graph:
    """Pickled under NetworkX's name."""


def graph():
    made = Graph()
    made.__dict__.update(graph={}, _node={n: {"position": np.array([n, 2.0, 3.0])} for n in (7, 9, 11)},
                         _adj={7: {9: {}}, 9: {7: {}, 11: {}}, 11: {9: {}}})
    return made


def pickled(value):
    """As if it were of NetworkX."""
    data = pickle.dumps(value, 2)
    name = __name__.encode()
    return data.replace(b"c" + name + b"\n", b"cnetworkx\n")


def archive(method, **members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in members.items():
            made.writestr(f"{name}.npy", content)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def header(dtype, shape):
    """Of an array, whatever follows."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def arrays(method=zipfile.ZIP_DEFLATED):
    return archive(method, positions=npy(SKELETONS.positions), edges=npy(SKELETONS.edges), ids=npy(SKELETONS.ids))


def haiku():
    trees = [{}, {}, {}]
    names = haiku_names(NETWORK)
    for tree in trees:
        for key, shape in weight_shapes(NETWORK).items():
            layer, what = key.split("/")
            tree.setdefault(names[layer], {})["w" if what == "kernel" else "b"] = np.ones(shape, np.float32)
    return pickle.dumps((trees[0], ((320, *trees[1:]), ()), None))


def skeletons(path):
    read = read_skeletons(path)
    return read.positions.tolist(), read.edges.tolist(), read.ids.tolist()


FILES = {  # name: content, reader, whether what is read must be what was written
    "arrays.npz": (arrays(), skeletons, True),
    "stored.npz": (arrays(zipfile.ZIP_STORED), skeletons, True),
    "graph.npz": (archive(zipfile.ZIP_DEFLATED, graph=header("|O", "()") + pickled(graph())), skeletons, True),
    "graph.npy": (header("|O", "()") + pickled(graph()), skeletons, False),
    "graph.pkl": (pickled(graph()), skeletons, False),
    "lut.npz": (archive(zipfile.ZIP_DEFLATED, fragment_segment_lut=npy(np.array([[1, 2, 9], [1, 1, 9]], np.uint64))),
                lambda path: read_lut(path).tolist(), True),
    "a.nml": (NML.encode(), skeletons, False),
    "a.swc": (b"# remark\n1 0 1 2 3 0.5 -1\n2 0 1.5 2 3 0.5 1\n3 0 2 2 3 0.5 2\n", skeletons, False),
    "a.csv": (b'id,z,y,x,parent\n1,40,10,4.6,\n2,80,"10.5",4.6,1\n', skeletons, False),
    "model_checkpoint_320": (haiku(), lambda path: read_haiku(path, NETWORK).steps, False),
}


def damaged(content, count):
    """Cut off at every n-th byte; and with one to three bits or bytes changed, by a fixed seed."""
    random = np.random.default_rng(0)
    for length in range(0, len(content), max(1, len(content) // count)):
        yield content[:length]
    for number in range(2 * count):
        changed = np.frombuffer(content, np.uint8).copy()
        at = random.integers(len(changed), size=1 + number % 3)
        changed[at] = changed[at] ^ (1 << random.integers(8, size=len(at))) if number % 2 else random.integers(256, size=len(at))
        yield changed.tobytes()


def outcome(path, read):
    """What is read of ``path``; None if it is refused, in one line that begins with its name."""
    try:
        return read(path)
    except UserError as error:
        line = str(error)
    assert line.startswith(str(path.parent)), line
    assert line.isprintable(), line
    return None


@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused_or_does_not_matter(name, tmp_path) -> None:
    content, read, has_checksum = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    right = read(path)
    refused = 0
    for variant in damaged(content, 150):
        path.write_bytes(variant)
        found = outcome(path, read)
        refused += found is None
        assert not has_checksum or found in (None, right)
    assert refused > 50
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_bundle_is_refused_or_right(tmp_path) -> None:
    index = write(tmp_path / "train_net_checkpoint_7", variables("setup01", published_shapes(fmaps=(1, 1, 1, 1))))

    def read(path):
        bundle = open_bundle(index)
        return read_checkpoint(index).network, {name: bundle.read(name).tolist() for name in bundle.shapes}

    right = read(index)
    for path in (index, tmp_path / "train_net_checkpoint_7.data-00000-of-00001"):
        content, refused = path.read_bytes(), 0
        for variant in damaged(content, 30):
            path.write_bytes(variant)
            found = outcome(path, read)
            refused += found is None
            assert found in (None, right)
        path.write_bytes(content)
        assert refused > 30


NONSENSE = (None, True, -1, 0, 10**30, float("nan"), 1e308, "", "x", [], [[]], {}, {"x": 1}, [0, -1, 2], [None] * 3)


def places(value, path=()):
    """The keys and indices that lead to each value in ``value``."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def replaced(value, path, by):
    if not path:
        return by
    made = inner = copy.deepcopy(value)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = by
    return made


@pytest.mark.parametrize("name", ["train_net.json", "pipeline.json"])
def test_nonsense_in_json_is_refused_or_read(name, tmp_path, capsys) -> None:
    path = tmp_path / name
    if name == "train_net.json":
        networks.write(NETWORK, "train_net", NETWORK.smallest_input_shape, tmp_path)
        read = networks.read
    else:
        path.write_text(json.dumps({"fragments": {"fragments_file": "a.zarr", "block_size": [400, 100, 46]}}))

        def read(path):
            return load_settings(path, PipelineSettings)

    values, count = json.loads(path.read_text()), 0
    for place in places(values):
        for nonsense in NONSENSE:
            path.write_text(json.dumps(replaced(values, place, nonsense)))
            count += outcome(path, read) is None
    for variant in (b"", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b"\xef\xbb\xbf" + path.read_bytes()):
        path.write_bytes(variant)
        count += outcome(path, read) is None
    assert count > 50


@pytest.mark.parametrize(("claim", "message"), [
    (header("<f8", "(1000000000000, 3)"), r"an array of shape \(1000000000000, 3\) in 0 bytes"),
    (header("<f8", "(-1, -3)") + bytes(24), r"an array of shape \(-1, -3\)"),
    (header("<U999999999999", "(1, 3)"), "cannot be read"),
    (header("|O", "()") + pickle.dumps([1, 2]), "positions is a list, not"),
    (header("|O", "()") + b"\x8f" * 10_000_000 + b".", "'positions' unpacks to 100000.. bytes, more than"),
])
def test_what_an_archive_claims_is_not_believed(claim, message, tmp_path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(archive(zipfile.ZIP_DEFLATED, edges=npy(SKELETONS.edges), positions=claim))
    tracemalloc.start()
    with pytest.raises(UserError, match=message):
        read_skeletons(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000_000


@pytest.mark.parametrize("change", [-20, -1, 1, 24])
def test_an_array_is_of_the_size_that_its_header_says(change, tmp_path) -> None:
    content = npy(SKELETONS.positions)
    path = tmp_path / "a.npz"
    for size in (len(content) + change, len(content)):
        path.write_bytes(archive(zipfile.ZIP_DEFLATED, edges=npy(SKELETONS.edges), positions=(content + bytes(99))[:size]))
        if size == len(content):
            assert read_skeletons(path).positions.tolist() == SKELETONS.positions.tolist()
        else:
            with pytest.raises(UserError, match=rf"an array of shape \(3, 3\) in {72 + change} bytes"):
                read_skeletons(path)


def test_a_look_up_table_that_claims_much(tmp_path) -> None:
    path = tmp_path / "seg_edges_mean_40.npz"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path.write_bytes(archive(method, fragment_segment_lut=header("<u8", "(2, 1000000000000)") + bytes(160)))
        with pytest.raises(UserError, match="not a look-up table, or cut off"):
            read_lut(path)
    path.write_bytes(archive(zipfile.ZIP_DEFLATED, fragment_segment_lut=npy(np.array([[1], [-1]]))))
    with pytest.raises(UserError, match="it holds the id -1"):
        read_lut(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path) -> None:
    """A directory that claims a terabyte; members that nobody asked for; a member of another method."""
    path = tmp_path / "a.npz"
    write_skeletons(path, SKELETONS)
    whole = bytearray(path.read_bytes())
    at = whole.rindex(b"PK\x01\x02")  # of the last member
    whole[at + 24:at + 28] = (2**32 - 2).to_bytes(4, "little")  # what it unpacks to
    path.write_bytes(whole)
    with pytest.raises(UserError, match="'ids' unpacks to 4294967294 bytes, more than"):
        read_skeletons(path)
    many = {f"member{number}": bytes(10_000_000) for number in range(30)}
    path.write_bytes(archive(zipfile.ZIP_DEFLATED, **many))
    with pytest.raises(UserError, match=r"holds member0, member1, .* and 24 more; needs one graph"):
        read_skeletons(path)
    path.write_bytes(archive(zipfile.ZIP_LZMA, graph=npy(SKELETONS.edges)))
    with pytest.raises(UserError, match="'graph' is compressed in a way that NumPy does not know"):
        read_skeletons(path)
