"""A bucket whose server is overloaded, breaks connections, or does not list what it has; and names that are no patterns."""

import http.server
import json
import pickle
import re
import threading
import urllib.parse
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import list_datasets, open_volume, s3
from lsd_experiments.blockwise.worker import _is_final
from lsd_experiments.errors import Passing, UserError

LISTING = '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>'
BREAK = 0  # in place of a status: half of the content comes


@dataclass
class Bucket:
    """Objects by key; ``plan``: statuses of the next requests for the keys that end so."""

    objects: dict[str, bytes] = field(default_factory=dict)
    plan: dict[str, list[int]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    is_listed: bool = True
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def bucket(monkeypatch):
    """s3://data, on a server of its own."""
    bucket = Bucket()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            path, _, query = self.path.partition("?")
            key = urllib.parse.unquote(path).removeprefix("/data").lstrip("/")
            asked = dict(urllib.parse.parse_qsl(query))
            bucket.asked.append(key or "?")
            status = next((plan.pop(0) for end, plan in bucket.plan.items() if plan and key.endswith(end)), 200)
            if "list-type" in asked:
                return self.list(asked.get("prefix", ""), asked.get("delimiter"))
            if status >= 400:
                return self.end(status, error("SlowDown" if status == 503 else "InternalError"))
            if key in bucket.private or (key not in bucket.objects and not bucket.is_listed):
                return self.end(403, error("AccessDenied"))
            if key not in bucket.objects:
                return self.end(404, error("NoSuchKey"))
            self.end(200, bucket.objects[key], cut=status == BREAK)

        def list(self, prefix, delimiter):
            if not bucket.is_listed:
                return self.end(403, error("AccessDenied"))
            rest = {key: key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
                    for key in sorted(bucket.objects) if key.startswith(prefix)}
            below = sorted({prefix + first + "/" for first, slash, _ in rest.values() if slash})
            files = [key for key, (_, slash, _) in rest.items() if not slash]
            body = "".join(f"<Contents><Key>{escape(key)}</Key><Size>1</Size></Contents>" for key in files)
            body += "".join(f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>" for key in below)
            self.end(200, f"{LISTING}{body}</ListBucketResult>".encode())

        def end(self, status, body, cut=False):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:len(body) // 2] if cut else body)
            self.close_connection = cut

    def error(code):
        return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}, said the server</Message></Error>".encode()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    s3._filesystem.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setattr(s3, "PAUSE", 0.01)
    monkeypatch.setattr(s3, "PATIENCE", 5)
    yield bucket
    server.shutdown()
    server.server_close()
    s3._filesystem.cache_clear()


@pytest.fixture
def raw():
    return np.arange(1, 4 * 6 * 5 + 1, dtype=np.uint16).reshape(4, 6, 5)


def put(bucket, raw, prefix, name="volumes/raw", n5=False, fill_value=0):
    """``raw`` as an array of the container ``prefix``."""
    store = zarr.storage.MemoryStore()
    root = zarr.open_group(store, mode="w")
    made = root.create_dataset(name, data=raw, chunks=(2, 3, 5), fill_value=fill_value)
    made.attrs.put({"resolution": [40, 10, 4.6], "offset": [120, 30, 4.6]})
    bucket.objects |= {f"{prefix}/{key}": bytes(store[key]) for key in store}


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, BREAK])
def test_an_overloaded_server_is_asked_again(bucket, raw, status) -> None:
    put(bucket, raw, "a.zarr")
    bucket.plan = {".zgroup": [status] * 2, ".zarray": [status] * 2, "raw/0.0.0": [status] * 3, "raw/1.1.0": [status]}
    volume = open_volume("s3://data/a.zarr", "volumes/raw")
    np.testing.assert_array_equal(volume.read(), raw)
    assert bucket.asked.count("a.zarr/volumes/raw/0.0.0") == 4
    assert bucket.asked.count("a.zarr/volumes/raw/0.1.0") == 1, "what came is not asked for again"
    assert (volume.offset, volume.voxel_size) == ((120, 30, 4.6), (40, 10, 4.6))


def test_a_server_that_stays_overloaded_is_an_error_that_may_pass(bucket, raw, monkeypatch, caplog) -> None:
    put(bucket, raw, "a.zarr")
    volume = open_volume("s3://data/a.zarr", "volumes/raw")
    bucket.plan = {"raw/0.1.0": [503] * 1000}
    monkeypatch.setattr(s3, "PATIENCE", 0.3)
    with pytest.raises(Passing, match=r"a.zarr: cannot be read from http:.* \(HTTP 503: SlowDown, said the server\)") as raised:
        volume.read()
    assert "s3://data/a.zarr: HTTP 503: SlowDown, said the server: tried again for 0.3 s" in caplog.text
    assert not _is_final(raised.value), "a worker's block is tried again"
    assert _is_final(UserError("x"))
    assert not _is_final(ValueError("x"))
    bucket.plan = {}
    np.testing.assert_array_equal(volume.read(), raw)
    bucket.plan = {".zgroup": [503] * 1000}
    with pytest.raises(Passing, match="HTTP 503"):
        open_volume("s3://data/a.zarr", "volumes/raw")


def test_pauses_grow_and_are_not_alike(monkeypatch) -> None:
    pauses, clock = [], [0.0]

    def sleep(seconds):
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(s3.time, "sleep", sleep)
    monkeypatch.setattr(s3.time, "monotonic", lambda: clock[0])

    def fails():
        raise ConnectionError("reset")

    with pytest.raises(Passing, match="reset"):
        s3.patiently("s3://data", fails, s3.PATIENCE)
    longest = [min(s3.LONGEST, s3.PAUSE * 2**n) for n in range(len(pauses))]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))
    assert sum(pauses) <= s3.PATIENCE
    assert len(pauses) > 10
    with pytest.raises(UserError, match="wrong") as raised:
        s3.patiently("s3://data", lambda: {}["wrong"], s3.PATIENCE)
    assert not isinstance(raised.value, Passing)


def test_a_bucket_that_is_read_but_not_listed(bucket, raw) -> None:
    """403 is what is said of what is not there."""
    bucket.is_listed = False
    put(bucket, raw, "a.zarr", fill_value=7)
    del bucket.objects["a.zarr/volumes/raw/1.0.0"]
    expected = raw.copy()
    expected[2:, :3] = 7
    volume = open_volume("s3://data/a.zarr", "volumes/raw")
    np.testing.assert_array_equal(volume.read(), expected)
    for message, name in (("may be read, but its server does not list what is there. Name the dataset", None),
                          ("may be read, but its server does not list", "volumes/labels")):
        with pytest.raises(UserError, match=message):
            open_volume("s3://data/a.zarr", name)
    with pytest.raises(UserError, match="no zarr or N5 there"):
        open_volume("s3://data/absent.zarr", "volumes/raw")
    with pytest.raises(UserError, match="does not list"):
        list_datasets("s3://data/a.zarr")


def rename(bucket, array, separator=None, said=None):
    """The chunks of ``array`` as ``separator`` names them, and what its metadata say of that."""
    meta = json.loads(bucket.objects[f"{array}/.zarray"])
    meta.pop("dimension_separator", None)
    meta |= {} if said is None else {"dimension_separator": said}
    bucket.objects[f"{array}/.zarray"] = json.dumps(meta).encode()
    for key in [key for key in bucket.objects if separator and re.fullmatch(rf"{re.escape(array)}/\d.*", key)]:
        bucket.objects[f"{array}/{key.removeprefix(array + '/').replace('.', separator)}"] = bucket.objects.pop(key)


@pytest.mark.parametrize("said", [None, ".", "/"])
@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("place", [("s3://data/a.zarr", "volumes/raw"), ("s3://data/a.zarr/volumes/raw", None)])
def test_chunks_are_found_however_they_are_named(bucket, raw, place, is_listed, separator, said) -> None:
    bucket.is_listed = is_listed
    put(bucket, raw, "a.zarr")
    del bucket.objects["a.zarr/volumes/raw/0.0.0"]
    rename(bucket, "a.zarr/volumes/raw", separator, said)
    expected = raw.copy()
    expected[:2, :3] = 0
    volume = open_volume(*place)
    np.testing.assert_array_equal(volume.read(), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(), expected)


@pytest.mark.parametrize("is_listed", [True, False])
def test_chunks_of_both_names(bucket, raw, is_listed) -> None:
    bucket.is_listed = is_listed
    put(bucket, raw, "a.zarr")
    bucket.objects["a.zarr/volumes/raw/0/0/0"] = bucket.objects["a.zarr/volumes/raw/1.0.0"]
    with pytest.raises(UserError, match=r"a.zarr:volumes/raw: has chunks named like 0\.0\.0 and others like 0/0/0"):
        open_volume("s3://data/a.zarr", "volumes/raw")


@pytest.mark.parametrize("said", [None, "/"])
def test_an_array_without_chunks_is_its_fill_value(bucket, raw, said) -> None:
    put(bucket, raw, "a.zarr", fill_value=7)
    rename(bucket, "a.zarr/volumes/raw", said=said)
    bucket.objects = {key: content for key, content in bucket.objects.items() if not key[-1].isdecimal()}
    for bucket.is_listed in (True, False):
        bucket.plan = {"volumes/raw/": [503]}
        assert (open_volume("s3://data/a.zarr", "volumes/raw").read() == 7).all()


def test_what_is_refused_in_a_bucket_that_is_listed_is_not_absent(bucket, raw) -> None:
    put(bucket, raw, "a.zarr")
    volume = open_volume("s3://data/a.zarr", "volumes/raw")
    bucket.private.add("a.zarr/volumes/raw/1.0.0")
    with pytest.raises(UserError, match=r"volumes/raw/1\.0\.0: the server refuses to show it \(HTTP 403\)"):
        volume.read()
    bucket.private.clear()
    np.testing.assert_array_equal(volume.read(), raw)


def test_names_are_no_patterns(bucket, raw) -> None:
    put(bucket, raw + 1, "a5b.zarr", "volumes/a5b")
    for name in ("a[1-9]b", "what?", "all*", "a#b", "50%", "a b", "a+b", "ä", "a%20b", "a::b"):
        put(bucket, raw, f"{name}.zarr", f"volumes/{name}")
        volume = open_volume(f"s3://data/{name}.zarr", f"volumes/{name}")
        np.testing.assert_array_equal(volume.read(), raw)
        assert list_datasets(f"s3://data/{name}.zarr") == [f"volumes/{name}"]
    with pytest.raises(UserError, match="no zarr or N5 there"):
        open_volume("s3://data/a?b.zarr", "volumes/a5b")


def test_zarr_3_is_said(bucket, raw) -> None:
    put(bucket, raw, "a.zarr")
    bucket.objects |= {"b.zarr/zarr.json": b"{}", "a.zarr/zarr.json": b"{}"}
    with pytest.raises(UserError, match=r"s3://data/b.zarr: zarr format 3 is not read\. Write it again in format 2"):
        open_volume("s3://data/b.zarr", "volumes/raw")
    np.testing.assert_array_equal(open_volume("s3://data/a.zarr", "volumes/raw").read(), raw)
