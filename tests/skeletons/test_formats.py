"""SWC, NML, CSV and archives of arrays: what is written is read again, and what is wrong is named."""

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.skeletons import Skeletons, read_skeletons, write_skeletons

TREE = Skeletons.of([(400, 100.5, 160), (401, 100, 160), (1 / 3, -2, 7e9), (4, 5, 6), (9, 9, 9)], [(0, 1), (1, 2), (1, 3)],
                    [30, 20, 10, 2**40, -7])
CYCLE = Skeletons.of([(0, 0, 0), (0, 0, 1), (0, 1, 1)], [(0, 1), (1, 2), (0, 2)], [5, 6, 7])

SWC = """# a remark
 1 0 10 20 30 0.5 -1   # the root
2 0 11 20 30 0.5 1
3 2 12.5 20 3e1 0.5 2

"""
NML = """<?xml version="1.0" encoding="utf-8"?>
<things>
  <parameters><experiment name="e"/><scale x="8" y="10" z="40"{unit}/><offset x="0" y="0" z="0"/></parameters>
  <thing id="1" name="first"><nodes><node id="1" radius="1" x="20" y="10" z="11"/><node id="2" x="21" y="10" z="11"/></nodes>
    <edges><edge source="1" target="2"/></edges></thing>
  <thing id="2"><nodes><node id="{other}" x="0" y="0" z="1.5"/></nodes><edges/></thing>
  <branchpoints><branchpoint id="1"/></branchpoints>
  <comments><comment node="1" content="&lt;node&gt;"/></comments>
</things>
"""


def equal(first: Skeletons, second: Skeletons) -> bool:
    """Whether they are the same up to the order of nodes."""
    def of(skeletons: Skeletons):
        ids = skeletons.ids.tolist()
        nodes = dict(zip(ids, map(tuple, skeletons.positions.tolist()), strict=True))
        return nodes, {frozenset((ids[a], ids[b])) for a, b in skeletons.edges.tolist()}

    return of(first) == of(second)


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".swc"])
def test_what_is_written_is_read_again(suffix, tmp_path) -> None:
    path = tmp_path / f"skeletons{suffix}"
    path.write_text("what was there before")
    write_skeletons(path, TREE)
    assert equal(read_skeletons(path), TREE)
    assert [file.name for file in tmp_path.iterdir()] == [path.name], "nothing is left beside"
    moved = Skeletons(TREE.positions + np.float64([0, 1, 0]), TREE.edges, TREE.ids)
    assert not equal(read_skeletons(path), moved)
    if suffix != ".swc":
        write_skeletons(path, CYCLE)
        assert equal(read_skeletons(path), CYCLE)
        write_skeletons(path, Skeletons.of([], []))
        assert len(read_skeletons(path).ids) == 0


def test_what_cannot_be_written(tmp_path) -> None:
    with pytest.raises(UserError, match=r"node 5 has a cycle, which SWC cannot express\. Write \.csv or \.npz"):
        write_skeletons(tmp_path / "cycle.swc", CYCLE)
    with pytest.raises(UserError, match="node -1 is no parent in SWC"):
        write_skeletons(tmp_path / "one.swc", Skeletons.of([(0, 0, 0)], [], [-1]))
    with pytest.raises(UserError, match=r"skeletons are written to \.csv, \.swc, \.npz"):
        write_skeletons(tmp_path / "skeletons.nml", TREE)
    with pytest.raises(FileNotFoundError):
        write_skeletons(tmp_path / "absent" / "skeletons.csv", TREE)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "skeletons.csv"
    write_skeletons(path, TREE)
    before = path.read_text()
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_skeletons(path, CYCLE)
    assert (path.read_text(), len(list(tmp_path.iterdir()))) == (before, 1)


def test_swc(tmp_path) -> None:
    path = tmp_path / "a.swc"
    path.write_text(SWC)
    read = read_skeletons(path)
    assert read.positions.tolist() == [[30, 20, 10], [30, 20, 11], [30, 20, 12.5]]
    assert (read.edges.tolist(), read.ids.tolist()) == ([[0, 1], [1, 2]], [1, 2, 3])
    assert read_skeletons(path, scale=1000).positions[0].tolist() == [30000, 20000, 10000]
    assert read_skeletons(path, scale=(1, 2, 3)).positions[0].tolist() == [30, 40, 30]
    for scale in (0, (1, -1, 1), float("nan")):
        with pytest.raises(UserError, match="it is nm per unit, above 0"):
            read_skeletons(path, scale=scale)


SWC_ROWS = ["1 0 10 20 30 0.5 -1", "2 0 11 20 30 0.5 1", "3 2 12.5 20 30 0.5 2"]


def swc(*rows: str, end: str = "\n") -> bytes:
    return end.join((*rows, "")).encode()


@pytest.mark.parametrize("content", [
    swc("1.0 0.0 10 20 30 0.5 -1.0", "2.0 0 11 20 30 0.5 1.0", "3.0 2 12.5 20 30 0.5 2.0"),
    swc("+1 0 1e1 20 30 0.5 -1", "2. 0 11 20 30 0.5 1", "3 2 12.5 20 .3e2 0.5 2"),
    swc("1 0 10 20 30 0.5 0", *SWC_ROWS[1:]),
    swc(*(f"{row} 7" for row in SWC_ROWS)),
    swc(*(f"{row} extra {number}" for number, row in enumerate(SWC_ROWS))),
    swc(*(row.replace(" ", "\t") for row in SWC_ROWS)),
    swc(*(row.replace(" ", ", ") for row in SWC_ROWS)),
    swc(*SWC_ROWS, end="\r\n"),
    swc(*SWC_ROWS, end="\r"),
    swc(SWC_ROWS[0], SWC_ROWS[2], SWC_ROWS[1]),
    swc(*SWC_ROWS).rstrip(),
    b"\xef\xbb\xbf" + swc("# \u00b5m, caf\u00e9", *SWC_ROWS),
    "# \u00b5m \u0085 in Latin 1\n".encode("latin-1") + swc(*SWC_ROWS),
    "# \u30cb\u30e5\u30fc\u30ed\u30f3\n".encode("shift-jis") + swc(*SWC_ROWS),
    swc("# \u30cb", *SWC_ROWS).decode().encode("utf-16"),
    b"\xfe\xff" + swc("# \u30cb", *SWC_ROWS).decode().encode("utf-16-be"),
])
def test_swc_as_others_write_it(content, tmp_path) -> None:
    path = tmp_path / "a.swc"
    path.write_bytes(content)
    assert equal(read_skeletons(path), Skeletons.of([(30, 20, 10), (30, 20, 11), (30, 20, 12.5)], [(0, 1), (1, 2)], [1, 2, 3]))


def test_a_parent_of_0_is_a_node_where_there_is_one(tmp_path) -> None:
    path = tmp_path / "a.swc"
    path.write_text("0 0 1 2 3 1 -1\n4 0 1 2 4 1 0\n")
    assert read_skeletons(path).edges.tolist() == [[0, 1]]
    path.write_text("5 0 1 2 3 1 0\n4 0 1 2 4 1 0\n6 0 1 2 5 1 4\n")
    assert read_skeletons(path).edges.tolist() == [[1, 2]]
    assert read_skeletons(path).components.tolist() == [0, 1, 1]


PANDAS = """,id,z,y,x,parent
0,1.0,3.0,2.0,1.0,{none}
1,2.0,6.0,5.0,4.0,1.0
2,3.0,9.0,8.0,7.5,2.0
"""
CATMAID = """skeleton_id, treenode_id, parent_treenode_id, x, y, z, r
"77", "1", "", "1.0", "2.0", "3.0", "-1"
"77", "2", "1", "4.0", "5.0", "6.0", "0"
77, 3, 2, 7.5, 8, 9, 0
"""


@pytest.mark.parametrize("text", [
    *(PANDAS.format(none=none) for none in ("", "-1.0", "NaN", "nan", "None", "<NA>")),
    PANDAS.format(none="").replace(",id,z,y,x,parent", '"","id","z","y","x","parent"'),
    PANDAS.format(none="").replace(",", ";"),
    PANDAS.format(none="").replace(",", "\t"),
    CATMAID,
    CATMAID.replace("\n", "\r\n"),
    "\ufeff" + CATMAID,
    "node_id,parent_id,x,y,z,radius\n3,2,7.5,8,9,1\n2,1,4,5,6,1\n1,-1,1,2,3,1\n",
    "ID,X,Y,Z,Parent\n1,1,2,3,-1\n2,4,5,6,1\n3,7.5,8,9,2\n",
])
def test_csv_as_others_write_it(text, tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert equal(read_skeletons(path), Skeletons.of([(3, 2, 1), (6, 5, 4), (9, 8, 7.5)], [(0, 1), (1, 2)], [1, 2, 3]))


def test_a_directory_of_swc_is_several_skeletons(tmp_path) -> None:
    for name in ("10.swc", "9.SWC"):
        (tmp_path / name).write_text(SWC.replace("12.5", name.split(".")[0]))
    (tmp_path / "notes.txt").write_text("no skeletons")
    both = read_skeletons(tmp_path)
    assert both.positions[[2, 5], 2].tolist() == [9, 10], "9 comes before 10"
    assert both.components.tolist() == [0, 0, 0, 1, 1, 1]
    assert both.ids.tolist() == list(range(6)), "ids begin anew in each file"
    listed = read_skeletons([tmp_path / "10.swc", tmp_path / "9.SWC"])
    assert listed.positions[[2, 5], 2].tolist() == [10, 9]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"a directory without \.swc files"):
        read_skeletons(tmp_path / "empty")


@pytest.mark.parametrize(("old", "new", "message"), [
    ("2 0 11", "2 0 0 11", r"line 3: has 8 values, not 7 \(id type x y z radius parent\)"),
    ("2 0 11", "2 0", "line 3: has 6 values, not 7"),
    ("0.5 2", "0.5 0.5", "line 4: parent is '0.5', not a whole number"),
    ("2 0 11", "1_0 0 11", "line 3: id is '1_0', not a whole number"),
    ("2 0 11", "1e400 0 11", "line 3: id is '1e400', not a whole number"),
    ("12.5", "1_2.5", "line 4: x is '1_2.5', not a number"),
    ("12.5", "1" * 500, f"line 4: x is '{'1' * 60}'..., not a number"),
    ("0.5 2", "0.5 -2", "line 4: leads to node -2, which is not there"),
    ("2 0 11", "1 0 11", "line 3: node 1 is there twice"),
    ("0.5 2", "0.5 9", "line 4: leads to node 9, which is not there"),
    ("3e1", "three", "line 4: z is 'three', not a number"),
    ("12.5", "nan", "line 4: x is 'nan', not a number"),
    ("3 2 12.5", "3.5 2 12.5", "line 4: id is '3.5', not a whole number"),
    (SWC, "# nothing\n", "holds no node"),
])
def test_mistakes_in_swc(old, new, message, tmp_path) -> None:
    path = tmp_path / "a.swc"
    path.write_text(SWC.replace(old, new))
    with pytest.raises(UserError, match=message) as raised:
        read_skeletons(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_nml(tmp_path) -> None:
    path = tmp_path / "a.nml"
    path.write_text(NML.format(unit="", other=3))
    read = read_skeletons(path)
    assert read.positions.tolist() == [[440, 100, 160], [440, 100, 168], [60, 0, 0]]
    assert (read.edges.tolist(), read.ids.tolist(), read.components.tolist()) == ([[0, 1]], [1, 2, 3], [0, 0, 1])
    path.write_text(NML.format(unit=' unit="micrometer"', other=3))
    assert read_skeletons(path).positions[2].tolist() == [60000, 0, 0]
    path.write_text(NML.format(unit="", other=1))
    assert read_skeletons(path).ids.tolist() == [0, 1, 2], "ids begin anew in each tree"
    path.write_bytes(NML.format(unit="", other=3).replace("utf-8", "utf-16").encode("utf-16"))
    assert len(read_skeletons(path).ids) == 3


@pytest.mark.parametrize(("old", "new", "message"), [
    ("<things>", '<!DOCTYPE things [<!ENTITY e "entity">]><things>', r"line 2: has a document type \(DOCTYPE\)"),
    ("<things>", '<!DOCTYPE things SYSTEM "file:///etc/passwd"><things>', "DOCTYPE"),
    ('<scale x="8" y="10" z="40"/>', "", r"has no <scale> among its <parameters>"),
    ('x="8"', 'x="0"', r"line 3: <scale>: voxels of \(40.0, 10.0, 0.0\) nanometer"),
    ('z="40"', 'z="40" unit="foot"', r"<scale>: voxels of .* foot\. Name sizes above 0 in nanometer"),
    ('target="2"', 'target="4"', r"line 5: <edge>: leads to node 4, which is not there"),
    ('target="2"', "", "line 5: <edge>: target is None, not a whole number"),
    ('x="21"', 'x="inf"', "line 4: <node>: x is 'inf', not a number"),
    ('id="2" x', 'id="1" x', "line 4: <node>: node 1 is there twice"),
    ("</things>", "", "is no XML"),
    (NML, "id,z,y,x,parent", "line 1: is no XML"),
])
def test_mistakes_in_nml(old, new, message, tmp_path) -> None:
    path = tmp_path / "a.nml"
    text = NML.format(unit="", other=3)
    path.write_text(new if old == NML else text.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as raised:
        read_skeletons(path)
    assert "\n" not in str(raised.value)


def test_csv(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\ufeffparent, x,y,z,id,colour\r\n-1,1,2,3,10,red\r\n10,4,5,6,11,\"a,b\"\r\n\r\n"
                    ",7,8,9,12,\r\n10,7,8,9,12,\r\n")
    read = read_skeletons(path)
    assert read.positions.tolist() == [[3, 2, 1], [6, 5, 4], [9, 8, 7]]
    assert (read.edges.tolist(), read.ids.tolist()) == ([[0, 1], [0, 2]], [10, 11, 12])
    path.write_text("skeleton,id,z,y,x,parent\na,1,0,0,0,\na,2,0,0,1,1\nb,1,0,0,5,\nb,2,0,0,6,1\n")
    read = read_skeletons(path)
    assert (read.edges.tolist(), read.ids.tolist()) == ([[0, 1], [2, 3]], [0, 1, 2, 3])


@pytest.mark.parametrize(("text", "message"), [
    ("", "line 1: needs one column 'id'; found ''"),
    ("id,z,y,x,parents\n", "line 1: needs one column 'parent'; found 'id,z,y,x,parents'; did you mean 'parents'"),
    ("id,z,y,x,parent,x\n", "line 1: needs one column 'x'"),
    ("id,z,y,x,parent\n1,2,3\n", "line 2: has 3 values for 5 columns"),
    ("id,z,y,x,parent\n1,2,3,4,5\n", "line 2: leads to node 5, which is not there"),
    ("id,z,y,x,parent\n1,2,3,4,\n1,2,3,5,\n", "line 3: node 1 is there twice"),
    ("id,z,y,x,parent\n1,2,3,4,0\n", "line 2: leads to node 0, which is not there"),
    ("id,node_id,z,y,x,parent_id,parent_node_id\n1,1,2,3,4,,\n", "line 1: needs one column 'parent'"),
    ("id,z,y,x,parent\n1,2,,4,\n", "line 2: y is '', not a number"),
    (f"id,z,y,x,parent\n{2**63},2,3,4,\n", "line 2: id is '9223372036854775808', not a whole number"),
    ("id,z,y,x,parent\n" + "1" * 140_000 + ",2,3,4,\n", "line 2: field larger than field limit"),
])
def test_mistakes_in_csv(text, message, tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_skeletons(path)


def test_a_file_that_is_no_text(tmp_path) -> None:
    for name in ("a.csv", "a.swc"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00\x81" * 10)
        with pytest.raises(UserError, match=f"{name}: is no text"):
            read_skeletons(tmp_path / name)


def test_files_that_are_not_there_or_of_another_format(tmp_path) -> None:
    with pytest.raises(UserError, match=r"absent\.npz: no such file"):
        read_skeletons(tmp_path / "absent.npz")
    with pytest.raises(UserError, match=r"skeletons are read from \.npz, .*, or a directory of \.swc"):
        read_skeletons(tmp_path / "skeletons.txt")
    assert len(read_skeletons([]).ids) == 0
