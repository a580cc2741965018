"""What only a PostgreSQL server can meet: passwords, other people's tables, and going away."""

import io
import logging
import pickle
import threading
import time
from multiprocessing import get_context
from urllib.parse import quote

import numpy as np
import pytest

from lsd_experiments.errors import Unavailable, UserError
from lsd_experiments.rag import RagStore, database_exists, open_store
from lsd_experiments.rag.copying import from_copy, to_copy
from lsd_experiments.rag.edges import ROW
from tests.rag.cluster import DATABASE, PASSWORD, execute, missing, start

pytestmark = pytest.mark.database

SECRETS = (PASSWORD, quote(PASSWORD, safe=""), "s3cret")


@pytest.fixture
def own_cluster(tmp_path):
    """A server that a test may stop."""
    if missing():
        pytest.skip(missing())
    cluster = start(tmp_path)
    yield cluster
    cluster.remove()


def silent(text):
    return not any(secret in text for secret in SECRETS)


def test_the_schema_is_made_and_nothing_beside_it(url):
    schema = url.rpartition("=")[2]
    assert not database_exists(url)
    open_store(url, create=True).close()
    assert database_exists(url)
    assert execute(url.partition("?")[0], f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}' ORDER BY 1") == [
        ("blocks",), ("nodes",), ("region_graph",), ("stages",)]
    assert execute(url.partition("?")[0], "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_without_a_schema_in_the_url_it_is_lsd(cluster):
    with open_store(cluster.url, create=True) as store:
        assert store.name == cluster.bare_url
    assert execute(cluster.url, "SELECT count(*) FROM lsd.nodes") == [(0,)]


def test_a_schema_of_something_else_is_refused(cluster, url):
    schema = url.rpartition("=")[2]
    execute(cluster.url, f"CREATE SCHEMA {schema}")
    execute(cluster.url, f"CREATE TABLE {schema}.photos (id int)")
    with pytest.raises(UserError, match=f"schema {schema} holds something else. Name another one"):
        open_store(url, create=True)
    execute(cluster.url, f"DROP TABLE {schema}.photos")  # an empty schema will do
    open_store(url, create=True).close()
    execute(cluster.url, f"UPDATE {schema}.region_graph SET layout = 1")
    with pytest.raises(UserError, match="as another version of this software keeps it"):
        open_store(url, create=True)


def test_the_password_may_be_in_the_environment_or_a_file(cluster, url, monkeypatch, tmp_path):
    monkeypatch.delenv("PGPASSWORD", raising=False)  # a configuration that was loaded in this process may have set it
    bare = url.replace(cluster.url, cluster.bare_url)
    with pytest.raises(UserError, match=r"it wants a password\. Set PGPASSWORD, or fill"):
        open_store(bare, create=True)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    open_store(bare, create=True).close()
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "pgpass").write_text("*:*:*:*:" + PASSWORD.replace(":", "\\:") + "\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    open_store(bare).close()


@pytest.mark.parametrize(("change", "says"), [
    (("@127", "x@127"), "wrong user or password"),
    (("tester", "nobody"), "wrong user or password"),
    ((f"/{DATABASE}", "/nothing"), r"/nothing\S*: no such database. Make it with createdb"),
    (("127.0.0.1", "host.invalid"), r"tester@host.invalid:\d+/graphs\S*: cannot be reached"),
])
def test_what_a_user_does_wrong_is_one_line_without_the_password(url, change, says, caplog):
    with pytest.raises(Unavailable, match=says) as caught:
        open_store(url.replace(*change), create=True)
    assert silent(str(caught.value) + caplog.text)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_refused_at_once(own_cluster, caplog):
    own_cluster.stop()
    with pytest.raises(UserError, match=rf"tester@127.0.0.1:{own_cluster.port}/graphs: cannot be reached: .*refused"):
        open_store(own_cluster.url, create=True)
    with pytest.raises(Unavailable, match=r"did not answer for 0\.3 s"):
        RagStore(own_cluster.url, create=True, patient=True, retry=0.3)
    assert caplog.text.count("does not answer") == 1
    threading.Timer(0.5, own_cluster.restart).start()
    RagStore(own_cluster.url, create=True, patient=True, retry=60).close()
    own_cluster.stop()
    threading.Timer(0.5, own_cluster.restart).start()
    open_store(own_cluster.url).close()  # it has answered before: wait


def test_nothing_that_is_printed_has_the_password(url, caplog):
    caplog.set_level(logging.DEBUG)
    with open_store(url, create=True) as store:
        with pytest.raises(Exception, match="nothing") as caught:
            store.read_edges("nothing")
        everything = io.StringIO()
        for thing in (store.name, repr(store), str(store._database), repr(store._database._address), caught.value, caplog.text):
            print(thing, file=everything)
    assert silent(everything.getvalue())
    with pytest.raises(TypeError):
        pickle.dumps(store._database._session._connect())


def test_arrays_survive_copying():
    rows = np.zeros(3, ROW)
    rows["merge_score"], rows["affinity_sum"], rows["u"] = [0.5, np.nan, -1.0], [np.nan, np.nan, 3.0], [2**63 - 1, 1, -1]
    data = to_copy(rows)
    assert len(data) - len(to_copy(rows[:0])) == 3 * (2 + 7 * 4 + 6 * 8 + 2) - 3 * 8  # NULL takes no room
    whole = rows[2:]
    np.testing.assert_array_equal(from_copy(to_copy(whole), ROW), whole)


BLOCKS, ROUNDS = 12, 4


def _write_blocks(url, first, done):
    """Each block four times, as if done again."""
    with RagStore(url, patient=True, retry=60) as store:
        for block in list(range(first, BLOCKS, 2)) * ROUNDS:
            random = np.random.default_rng(block)
            ids = np.arange(1000 * block + 1, 1000 * block + 1001, dtype=np.uint64)
            store.write_nodes(int(ids[0]), int(ids[-1]), ids, random.random((1000, 3)))
            u, v = np.append(ids[:-1], np.uint64(1)), np.append(ids[1:], np.uint64(10**6))
            sums, contacts = random.integers(0, 9999, 1000), random.integers(1, 99, 1000)
            store.write_edges("mean", block, u, v, random.random(1000), sums, contacts, np.arange(1000) < 999)
            with done.get_lock():
                done.value += 1


def _content(url):
    with open_store(url) as store:
        return [*store.read_nodes(), *next(store.iterate_edges("mean"))]


def _write_all(url, disturb=None):
    with open_store(url, create=True) as store:
        store.create_edges("mean")
    context = get_context("spawn")
    done = context.Value("i", 0)
    writers = [context.Process(target=_write_blocks, args=(url, first, done)) for first in range(2)]
    for writer in writers:
        writer.start()
    if disturb is not None:
        disturb(done)
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    return _content(url)


def test_writers_outlive_a_server_that_crashes_and_returns(own_cluster, url):
    left = []

    def crash(done):
        for at in (3, 20, 30):
            while done.value < at:
                time.sleep(0.005)
            own_cluster.stop("immediate")
            left.append(BLOCKS * ROUNDS - done.value)
            own_cluster.restart()
    disturbed = _write_all(own_cluster.url, crash)
    assert left[0] > 0  # they were at work; on a busy machine they may be done before the last crash
    for found, expected in zip(disturbed, _write_all(url), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(disturbed[0]) == 1000 * BLOCKS


def test_a_reader_outlives_a_server_that_crashes_and_returns(own_cluster, caplog):
    expected = _write_all(own_cluster.url)
    with RagStore(own_cluster.url, retry=60) as store:
        parts = []
        for part in store.iterate_edges("mean", batch=2000):
            parts.append(part)
            if len(parts) in (1, 3):
                own_cluster.stop()
                own_cluster.restart()
        assert caplog.text.count("does not answer") == 2
        assert silent(caplog.text)
    for index, values in enumerate(expected[2:]):
        np.testing.assert_array_equal(np.concatenate([part[index] for part in parts]), values)


def test_a_server_that_stays_away_is_named_in_the_end(own_cluster):
    with RagStore(own_cluster.url, create=True, retry=0.5) as store:
        own_cluster.stop()
        with pytest.raises(UserError, match=rf":{own_cluster.port}/graphs: did not answer for 0.5 s: .*See whether") as caught:
            store.count_nodes()
        assert silent(str(caught.value))
