"""A SQLite file whose bytes were damaged: each command gives what it gives of the whole one, or one line.

Large files are not looked at whole before a stage: then it is the checksums of the blocks that tell.
"""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pyarrow.parquet
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.configuration import load_pipeline, with_num_workers
from lsd_experiments.pipeline.overview import describe_status, plan_stages
from lsd_experiments.pipeline.plans import stage_names
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.rag import open_store, sqlite
from lsd_experiments.rag.parquet import export_graph, import_graph
from tests.pipeline.graphs import EDGES, TABLES, Graph, read_tables
from tests.pipeline.here import blocks_here

pytestmark = pytest.mark.usefixtures(blocks_here.__name__)
PAGE = 4096


@pytest.fixture(params=["small", "large"])
def size(request, monkeypatch):
    if request.param == "large":
        monkeypatch.setattr(sqlite, "CHECKED", 0)


@pytest.fixture
def graph(done):
    return closed(Graph(done, str(done / "out.db")))


@pytest.fixture
def undisturbed(whole_run):
    return Graph(whole_run, str(whole_run / "out.db"))


@pytest.fixture(scope="module")
def exported(whole_run, tmp_path_factory):
    directory = tmp_path_factory.mktemp("parquet")
    with open_store(whole_run / "out.db", readonly=True) as store:
        export_graph(store, directory)
    return directory


def closed(graph):
    """With all that was written in the file itself."""
    with closing(sqlite3.connect(graph.place)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return graph


def damaged(whole, seed, count):
    """Files of which a bit flipped, 64 bytes or a page are zeros, two pages have changed places, or the end is gone."""
    random = np.random.default_rng(seed)
    for number in range(count):
        content, place = bytearray(whole), int(random.integers(len(whole) - 64))
        first, second = (PAGE * int(page) for page in random.integers(1, len(whole) // PAGE, 2))
        match number % 5:
            case 0:
                content[place] ^= 1 << int(random.integers(8))
            case 1:
                content[place:place + 64] = bytes(64)
            case 2:
                content[first:first + PAGE] = bytes(PAGE)
            case 3:
                content[first:first + PAGE] = whole[second:second + PAGE]
                content[second:second + PAGE] = whole[first:first + PAGE]
            case 4:
                content = content[:place]
        yield bytes(content)


def outcomes(graph, work, check, seed, count):
    """What came of ``work`` on each damaged file: refused, or what ``check`` says of its result."""
    with open(graph.place, "rb") as file:  # noqa: PTH123
        whole, found = file.read(), []
    for content in damaged(whole, seed, count):
        for left in graph.directory.glob("out.db*"):
            left.unlink()
        (graph.directory / "out.db").write_bytes(content)
        try:
            result = work()
        except UserError as error:
            found.append("in several lines" if "\n" in str(error) else "refused")
        else:
            found.append(check(result))
    return found


def run(directory, *names):
    settings = with_num_workers(load_pipeline(directory / "config.toml"), 1)
    return [run_stage(name, settings) for name in names]


def test_look_up_tables(graph, undisturbed, size):
    expected = read_tables(undisturbed.directory)

    def find_segments():
        shutil.rmtree(graph.directory / "out.zarr/luts", ignore_errors=True)
        run(graph.directory, "find_segments")
        return read_tables(graph.directory)

    def equal(tables):
        return tables.keys() == expected.keys() and all(np.array_equal(tables[name], expected[name]) for name in tables)

    found = outcomes(graph, find_segments, equal, 14, 60)
    assert {*found} == {"refused", True}
    assert found.count("refused") > 10


def test_export(graph, exported, tmp_path, size):
    def export():
        with open_store(graph.place, readonly=True) as store:
            return export_graph(store, tmp_path / "parquet")

    def equal(paths):
        return all(pyarrow.parquet.read_table(path).equals(pyarrow.parquet.read_table(exported / path.name)) for path in paths)

    assert {*outcomes(graph, export, equal, 15, 60)} == {"refused", True}


@pytest.mark.parametrize("overwrite", [False, True])
def test_import(graph, exported, undisturbed, overwrite, size):
    """Into a damaged file: what is there already is not called so if it is not."""
    def bring_in():
        with open_store(graph.place, create=True) as store:
            import_graph(store, exported, overwrite)

    def equal(nothing):
        with open_store(graph.place) as store:
            store.check_rows("nodes")
            store.check_rows(EDGES)
        graph.check_equal(undisturbed)
        return True

    assert {*outcomes(graph, bring_in, equal, 16, 40)} == {"refused", True}


def test_status_only_reads(graph):
    def status():
        before = (graph.directory / "out.db").read_bytes()
        settings = load_pipeline(graph.directory / "config.toml")
        try:
            return describe_status(settings, plan_stages(settings, stage_names(settings)))
        finally:
            assert (graph.directory / "out.db").read_bytes() == before

    assert {*outcomes(graph, status, lambda text: text.count("\n") >= 5, 17, 60)} == {"refused", True}


@pytest.mark.parametrize("stage", TABLES)
def test_a_stage_that_goes_on(graph, undisturbed, stage, size, tmp_path_factory):
    """Killed in the middle, damaged, and run again to the end; what is refused, is."""
    shutil.rmtree(graph.directory / "out.zarr/luts")
    graph.put_back(stage, 13)
    kept = tmp_path_factory.mktemp("kept") / "run"
    shutil.copytree(closed(graph).directory, kept)

    def go_on():
        shutil.rmtree(graph.directory / "out.zarr")
        shutil.copytree(kept / "out.zarr", graph.directory / "out.zarr")
        run(graph.directory, "extract_fragments", "agglomerate", "find_segments")

    def equal(nothing):
        graph.check_equal(undisturbed)
        return True

    assert {*outcomes(graph, go_on, equal, 18, 5)} == {"refused", True}
