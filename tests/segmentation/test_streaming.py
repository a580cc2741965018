import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.segmentation import find_segments, lut_path, read_lut, stream_segments

THRESHOLDS = [0.6, 0.0, 0.2, 0.2, 0.9]


def graph(seed, nodes=300, edges=900):
    """Ids with gaps, pairs in any order, some scores missing, some equal to a threshold, some infinite."""
    random = np.random.default_rng(seed)
    ids = np.unique(random.integers(1, 2**60, nodes).astype(np.uint64))
    u, v = ids[random.integers(0, len(ids), (2, edges))]
    scores = random.choice([np.nan, 0, 0.2, 1, np.inf, -np.inf], edges)
    return ids, u, v, np.where(random.random(edges) < 0.7, random.random(edges), scores)


def batches(size, *columns):
    for begin in range(0, len(columns[0]), size):
        yield tuple(column[begin:begin + size] for column in columns)


def stream(place, ids, u, v, scores, thresholds=THRESHOLDS, size=100, **options):
    stream_segments(str(place), "mean", (part for part, in batches(size, ids)), batches(size, u, v, scores, scores), thresholds,
                    **options)
    return {threshold: read_lut(lut_path(str(place), "mean", threshold)) for threshold in thresholds}


def left(place):
    """What is beside the tables."""
    directory = lut_path(str(place), "mean", 0).parent
    return sorted(path.name for path in directory.iterdir() if path.suffix not in (".npz", ".lock"))


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("size", [1, 64, 10**6])
@pytest.mark.parametrize("seed", range(4))
def test_streaming_gives_what_is_found_in_memory(tmp_path, monkeypatch, seed, size, parity):
    monkeypatch.setattr("lsd_experiments.segmentation.streaming.BATCH", 100)
    columns = graph(seed)
    tables = stream(tmp_path, *columns, size=size, parity=parity)
    for threshold, lut in find_segments(*columns, THRESHOLDS, parity):
        np.testing.assert_array_equal(tables[threshold], lut)
    assert left(tmp_path) == []
    assert len({len(np.unique(lut[1])) for lut in tables.values()}) == 4  # the thresholds do differ


def test_thresholds_are_reported_when_their_tables_are_there(tmp_path):
    told = []

    def written(threshold):
        assert lut_path(str(tmp_path), "mean", threshold).exists()
        told.append(threshold)

    stream(tmp_path, *graph(0), written=written)
    assert sorted(told) == sorted(set(THRESHOLDS))


@pytest.mark.parametrize("nodes", [0, 5])
def test_no_edges(tmp_path, nodes):
    ids = np.arange(1, nodes + 1, dtype=np.uint64)
    none = np.zeros(0, np.uint64)
    for lut in stream(tmp_path, ids, none, none, np.zeros(0)).values():
        np.testing.assert_array_equal(lut, [ids, ids])


def test_many_thresholds_need_no_file_each(tmp_path):
    columns = graph(1)
    thresholds = [i / 2000 for i in range(1500)]  # more than the files that a process may open
    tables = stream(tmp_path, *columns, thresholds=thresholds)
    for threshold, lut in list(find_segments(*columns, thresholds))[::100]:
        np.testing.assert_array_equal(tables[threshold], lut)


def test_edges_to_unknown_fragments_are_noticed_and_nothing_is_left(tmp_path):
    ids, u, v, scores = graph(0)
    with pytest.raises(AssertionError, match="no node"):
        stream(tmp_path, ids[:-100], u, v, scores)
    assert left(tmp_path) == []


@pytest.mark.parametrize("order", [slice(None, None, -1), [*range(100), *range(50, 200)]])
def test_ids_that_do_not_ascend_are_noticed(tmp_path, order):
    ids, *edges = graph(0)
    with pytest.raises(AssertionError, match="must ascend"):
        stream(tmp_path, ids[order], *edges)


def test_two_runs_do_not_mix(tmp_path):
    ids, u, v, scores = graph(0)

    def edges():
        with pytest.raises(UserError, match="another run is finding segments there"):
            stream(tmp_path, ids, u, v, scores)
        yield u, v, scores

    stream_segments(str(tmp_path), "mean", [ids], edges(), [0.5])
    stream(tmp_path, ids, u, v, scores)  # now there is none


KILLED = """
import os, signal, sys
import numpy as np
from lsd_experiments.segmentation import luts, stream_segments
ids = np.arange(1, 1000, dtype=np.uint64)
def edges():
    yield ids[:-1], ids[1:], np.linspace(0, 1, len(ids) - 1)
    if sys.argv[2] == "reading":
        os.kill(os.getpid(), signal.SIGKILL)
def dying(path, *columns):
    write_table(path, *columns)
    os.kill(os.getpid(), signal.SIGKILL)
write_table, luts.write_table = luts.write_table, dying
stream_segments(sys.argv[1], "mean", [ids], edges(), [0.5])
"""


@pytest.mark.parametrize("when", ["reading", "writing"])
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path, when):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path, when], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert ".seg_edges_mean.scratch" in left(tmp_path)
    assert any("partial" in name for name in left(tmp_path)) == (when == "writing")
    assert not lut_path(str(tmp_path), "mean", 0.5).exists()
    other = lut_path(str(tmp_path), "mean_other", 0.5)
    other.with_name(f".{other.name}.{os.getpid()}.partial").touch()  # of another merge function: it may be at work
    stream(tmp_path, *graph(0))
    assert left(tmp_path) == [f".{other.name}.{os.getpid()}.partial"]


@pytest.mark.parametrize(("nodes", "edges", "full"), [(200_000, 0, "/ids"), (20_000, 400_000, "/edges"), (20_000, 20, ".npz.")])
def test_a_full_disk_leaves_nothing(small_disk, monkeypatch, nodes, edges, full):
    monkeypatch.setattr("lsd_experiments.segmentation.streaming.BATCH", 20_000)  # of few edges, a batch spares most
    ids = np.arange(1, nodes + 1, dtype=np.uint64)
    ends = np.random.default_rng(0).integers(1, nodes + 1, (2, edges)).astype(np.uint64)
    with pytest.raises(OSError, match="No space left") as error:
        stream(small_disk, ids, *ends, np.linspace(0, 1, edges), size=10_000)
    assert error.value.filename.startswith(str(small_disk))
    assert full in error.value.filename
    assert left(small_disk) == []


MEMORY = """
import numpy as np
from lsd_experiments.segmentation import stream_segments
place, nodes, count = arguments
ids = np.arange(1, nodes + 1, dtype=np.uint64)
def edges():
    for index in range(count):
        random = np.random.default_rng(index)
        u = random.integers(1, nodes, 2**20).astype(np.uint64)
        yield u, u + np.uint64(1), random.random(2**20)
stream_segments(place, "mean", [ids], edges(), [0.5])
"""


def test_memory_does_not_grow_with_the_edges(tmp_path, peak_memory):
    few, many = (peak_memory(MEMORY, str(tmp_path), 10**5, count) for count in (4, 12))
    assert many < few + 40  # MB; 8 million edges more are 200
    assert peak_memory(MEMORY, str(tmp_path), 4 * 10**6, 4) > few + 40  # with the nodes it does
