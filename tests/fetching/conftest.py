"""A real S3 server process on loopback that holds a tree laid out like the bucket, and a proxy before it that can misbehave; a
web server that has the files of the XPRESS challenge."""

import http.client
import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import numpy as np
import pytest
import zarr

from lsd_experiments.fetching import command, stores
from tests.fetching.web import FURTHER, ON_REQUEST, RAW, TRAINING, WEIGHTS, Web, serving

OURS = {"SHA256SUMS"}
ROOT = Path(__file__).parents[2]
BUCKET = "open-neurodata"
FINCH = "gt_z255-383_y1407-1663_x1535-1791.zarr"
HEMI = "eb-inner-groundtruth-with-context-x20172-y2322-z14332.zarr"
FIRST = {"zebrafinch": FINCH, "fib25": "tstvol-520-1.zarr", "hemi": HEMI}


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of moto's server; it lists five keys a page, so that every listing has many."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={"MOTO_S3_DEFAULT_MAX_KEYS": "5"},
    )
    url = next(match[0] for line in process.stderr if (match := re.search(r"http://127\.0\.0\.1:\d+", line)))
    threading.Thread(target=process.stderr.read, daemon=True).start()
    yield url
    process.kill()
    process.wait()


def write_volume(directory: Path, seed: int, voxel_size: tuple[int, ...]) -> None:
    """A zarr of raw and labels: anisotropic chunks, labels smaller than raw, and at an offset."""
    random = np.random.default_rng(seed)
    root = zarr.open_group(zarr.DirectoryStore(str(directory)), mode="w")
    for name, shape, dtype, begin in (("raw", (6, 9, 10), np.uint8, 0), ("labels/neuron_ids", (4, 5, 6), np.uint64, 1)):
        values = random.integers(1, 255, shape).astype(dtype)
        array = root.create_dataset(f"volumes/{name}", data=values, chunks=(3, 5, 7))
        array.attrs.put({"resolution": list(voxel_size), "offset": [begin * size for size in voxel_size]})


@pytest.fixture(scope="session")
def tree(tmp_path_factory) -> Path:
    """The first volume of each dataset, and a second one of FIB-25, as in the bucket."""
    tree = tmp_path_factory.mktemp("bucket")
    for number, (dataset, name) in enumerate([*FIRST.items(), ("fib25", "trvol-250-1.zarr")]):
        write_volume(tree / "funke" / dataset / "training" / name, number, (20, 9, 9) if dataset == "zebrafinch" else (8, 8, 8))
    return tree


class Bucket:
    """The bucket, as who fills it sees it."""

    def __init__(self, url: str, name: str = BUCKET) -> None:
        self.url, self.name = url, name
        self.client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        self.client.create_bucket(Bucket=name, ACL="public-read")

    def put(self, key: str, content: bytes, acl: str = "public-read") -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content, ACL=acl)

    def put_in_parts(self, key: str, parts: list[bytes]) -> None:
        upload = self.client.create_multipart_upload(Bucket=self.name, Key=key, ACL="public-read")["UploadId"]
        sent = {"Bucket": self.name, "Key": key, "UploadId": upload}
        etags = [self.client.upload_part(**sent, PartNumber=number, Body=part)["ETag"] for number, part in enumerate(parts, 1)]
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        self.client.complete_multipart_upload(**sent, MultipartUpload={"Parts": listed})


@pytest.fixture(scope="session")
def bucket(server, tree) -> Bucket:
    bucket = Bucket(server)
    for file in tree.rglob("*"):
        if file.is_file():
            bucket.put(file.relative_to(tree).as_posix(), file.read_bytes())
    return bucket


@dataclass
class Proxy:
    """Passes requests on, and records them; ``spoil`` may do to the body of an object what networks do."""

    url: str = ""
    ranges: list[tuple[str, str | None]] = field(default_factory=list)  # (key, Range) of each GET of an object
    before: Callable[[str], None] = lambda key: None
    spoil: Callable[[str, bytes], Iterator[bytes | None]] = lambda key, body: iter((body,))  # None: the connection breaks
    statuses: list[int] = field(default_factory=list)  # of the next requests, of any kind; 200 is as usual
    longer: int = 0  # bytes that the bodies of objects have beyond what the listing says

    def asked(self, name: str) -> list[str | None]:
        """The ranges that were asked of the object whose key ends in ``name``."""
        return [begin for key, begin in self.ranges if key.endswith(name)]


@pytest.fixture
def proxy(bucket) -> Iterator[Proxy]:
    proxy, upstream = Proxy(), bucket.url.removeprefix("http://")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            key = self.path.partition("?")[0]
            status = proxy.statuses.pop(0) if proxy.statuses else 200
            if status != 200:
                body = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>later</Message></Error>"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            is_object = self.command == "GET" and key.count("/") > 1
            if is_object:
                proxy.ranges.append((key, self.headers["Range"]))
                proxy.before(key)
            connection = http.client.HTTPConnection(upstream)
            connection.request(self.command, self.path, headers=dict(self.headers))
            answer = connection.getresponse()
            body = answer.read()
            if is_object and answer.status < 300:
                body += bytes(proxy.longer)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("server", "date", "connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if body else answer.getheader("Content-Length", "0")))
            self.end_headers()
            for piece in proxy.spoil(key, body) if is_object and answer.status < 300 else (body,):
                if piece is None:
                    self.close_connection = True
                    return
                self.wfile.write(piece)

        do_HEAD = do_GET

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a client that was killed
    threading.Thread(target=server.serve_forever, daemon=True).start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield proxy
    server.shutdown()
    server.server_close()


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The error, which must be one line, apart from the progress bar."""
        lines = [line for line in re.split(r"[\r\n]+", self.err) if line and not line.startswith("fetching")]
        assert len(lines) == 1, self.err
        return lines[0]


@pytest.fixture
def fetch(tmp_path, capsys) -> Callable[..., Outcome]:
    """Runs a command in this process, from ``url`` to ``tmp_path / 'dest'``."""

    def fetch(*arguments: object, url: str | None = None, main: Callable[..., None] = command.data_main) -> Outcome:
        capsys.readouterr()
        source = ["--endpoint-url", url] if url else []
        with pytest.raises(SystemExit) as ended:
            main("", [*map(str, arguments), *source, "--dest", str(tmp_path / "dest")])
        return Outcome(int(ended.value.code or 0), *capsys.readouterr())

    return fetch


def files(directory: Path) -> dict[str, bytes]:
    """Content by path, without our record and locks."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".fetched.jsonl" and path.suffix != ".lock"
    }


def cut(after: int, times: int):
    """Breaks the first ``times`` connections after that many bytes."""
    left = [times]

    def spoil(name, body):
        if left[0] and len(body) > after:
            left[0] -= 1
            yield body[:after]
            yield None
        yield body

    return spoil


@contextmanager
def holding(server):
    """``server`` holds back the rest of each file after its first million bytes until what this yields is set."""
    gate = threading.Event()

    def hold(name, body):
        yield body[:1_000_000]
        gate.wait(60)
        yield body[1_000_000:]

    server.spoil = hold
    yield gate
    gate.set()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(stores, "PAUSE", 0.01)


@pytest.fixture
def web():
    """All of the challenge's files, some bytes each; the raw of training is of several chunks."""
    content = np.random.default_rng(0)
    web = Web(files={name: content.bytes(1000 + len(name)) for name in (*TRAINING, *FURTHER, *ON_REQUEST, WEIGHTS)})
    web.files[RAW] = content.bytes(2_000_000)
    with serving(web):
        yield web


@pytest.fixture
def xpress(web, fetch):
    """Runs the command for this dataset, from that server."""
    return lambda *arguments, **options: fetch("--dataset", "xpress", *arguments, **{"url": web.url, **options})


@pytest.fixture
def place(tmp_path):
    return tmp_path / "dest" / "xpress"


def fetched(place):
    """What has its name, without what is still to come whole."""
    return {name: content for name, content in files(place).items() if name not in OURS and ".partial/" not in name}
