"""view.py --link: files over HTTP, and what neuroglancer's page shows of them."""

import http.client
import json
import signal
import socket
import threading
import urllib.parse
import urllib.request

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.conversion import View, convert
from lsd_experiments.conversion.formats import Options
from lsd_experiments.errors import UserError
from lsd_experiments.viewing.file_server import FileServer
from lsd_experiments.viewing.linking import link, link_state, linked_volumes
from tests.scripts import run_script

from .test_commands import RESULTS, start

FORMATS = ["precomputed", "ome-zarr"]


@pytest.fixture
def served(tmp_path):
    """A server of a directory with 100 bytes, and things that are not to be had."""
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (inside / "deep/0-64 %").write_bytes(bytes(range(100)))
    (inside / ".hidden").write_text("not this")
    (inside / ".zattrs").write_text("{}")
    (inside / "empty").write_bytes(b"")
    (tmp_path / "outside").write_text("nor this")
    (inside / "link").symlink_to(tmp_path / "outside")
    with FileServer({"a": inside}) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection(*server.server_address, timeout=20)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def path_of(server, name):
    return urllib.parse.urlsplit(server.url("a", name)).path


@pytest.mark.parametrize(("asked", "status", "expected", "says"), [
    (None, 200, range(100), None), ("bytes=10-19", 206, range(10, 20), "bytes 10-19/100"),
    ("bytes=90-", 206, range(90, 100), "bytes 90-99/100"), ("bytes=-8", 206, range(92, 100), "bytes 92-99/100"),
    ("bytes=90-200", 206, range(90, 100), "bytes 90-99/100"), ("bytes=-200", 206, range(100), "bytes 0-99/100"),
    ("bytes=100-", 416, (), "bytes */100"), ("bytes=-0", 416, (), "bytes */100"), ("bytes=9-3", 416, (), "bytes */100"),
    ("bytes=0-1,5-6", 200, range(100), None), ("lines=1-2", 200, range(100), None), ("bytes=-", 200, range(100), None),
])  # fmt: skip
def test_parts_of_files(served, asked, status, expected, says):
    headers = {"Range": asked} if asked else {}
    answer, content = ask(served, path_of(served, "deep/0-64 %"), **headers)
    assert (answer.status, content) == (status, bytes(expected))
    assert answer.getheader("Content-Range") == says
    assert answer.getheader("Access-Control-Allow-Origin") == "*"
    answer, content = ask(served, path_of(served, "deep/0-64 %"), "HEAD", **headers)
    assert (answer.status, content, answer.getheader("Content-Length")) == (status, b"", str(len(expected)))


@pytest.mark.parametrize("name", [
    "../outside", "deep/../../outside", "%2e%2e/outside", "..%2foutside", "deep//0-64%20%25", "link", "", ".hidden", "deep",
    "absent", "/etc/passwd", "%2fetc%2fpasswd", "deep\\0-64", "x" * 5000, "a%00b"])  # fmt: skip
def test_names_never_leave_the_directory(served, name):
    base = path_of(served, "")
    assert ask(served, f"{base}/{name}")[0].status == 404
    assert ask(served, f"{base}/.zattrs")[0].status == 200
    assert ask(served, f"{base}/empty")[1] == b""


def test_who_has_not_the_token_gets_nothing(served):
    good = path_of(served, "deep/0-64 %")
    without = good.replace(f"/{served.token}", "")
    for path in (good.replace(served.token, "wrong"), without, good.replace("/a/", "/b/"), "/", "/%ff", "//[x", "*"):
        assert ask(served, path)[0].status == 404
    assert ask(served, good)[0].status == 200
    assert served.server_address[0] == "127.0.0.1"
    answer, _ = ask(served, good, "OPTIONS", Origin="https://example.org")
    assert (answer.status, answer.getheader("Access-Control-Allow-Headers")) == (204, "Range")
    assert ask(served, good, "POST")[0].status == 501
    with FileServer({}, "0.0.0.0") as everywhere:
        assert urllib.parse.urlsplit(everywhere.url("a")).hostname == socket.getfqdn().lower()
    with FileServer({}) as here:
        assert urllib.parse.urlsplit(here.url("a")).hostname == "127.0.0.1"


@pytest.fixture
def exported(container, tmp_path):
    """A function that converts raw and segmentation of ``container``; their names."""
    def make(kind):
        places = [(name, tmp_path / f"{name}.{kind}") for name in ("raw", "segmentation", "affs")]
        for name, place in places:
            options = Options(kind, levels=2, sharded=kind == "ome-zarr")
            convert(View(open_volume(container, f"volumes/{name}")), str(place), None, options=options)
        return [str(place) for _, place in places]
    return make


def source_of(layer):
    """Its URL, as neuroglancer's versions write it."""
    source = layer["source"][0] if isinstance(layer["source"], list) else layer["source"]
    return source["url"] if isinstance(source, dict) else source


@pytest.mark.parametrize("kind", FORMATS)
def test_what_the_link_says(exported, kind):
    """Each source is there, at the place that the link says; the middle of the volume is looked at."""
    volumes = linked_volumes(exported(kind))
    with FileServer({str(number): each.directory for number, each in enumerate(volumes)}) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = link(volumes, server, "https://example.org/neuroglancer/")
        server_url, fragment = urllib.parse.unquote(url).split("#!")
        state = json.loads(fragment)
        assert server_url == "https://example.org/neuroglancer"
        kinds = {layer["name"]: layer["type"] for layer in state["layers"]}
        assert kinds == {"raw": "image", "segmentation": "segmentation", "affs": "image"}
        assert state["position"] == [16, 30, 50]  # voxels: the offset and half the shape
        for layer in state["layers"]:
            source = source_of(layer)
            format, _, place = source.partition("://")
            assert format == {"precomputed": "precomputed", "ome-zarr": "zarr3"}[kind]
            with urllib.request.urlopen(f"{place}/{'info' if kind == 'precomputed' else 'zarr.json'}", timeout=20) as answer:
                assert json.loads(answer.read())
        server.shutdown()


def test_what_is_not_linked(container, exported, tmp_path):
    theirs = "neither precomputed nor an OME-Zarr"
    (tmp_path / "file.h5").write_bytes(b"")
    for name, message in ((str(container), theirs), (f"{container}:volumes/raw", theirs),
                          (str(tmp_path / "file.h5"), theirs), (str(tmp_path / "absent"), "no such directory"),
                          ("s3://bucket/a", "no such directory")):
        with pytest.raises(UserError, match=message):
            linked_volumes([name])
    with pytest.raises(UserError, match="nothing to link"):
        linked_volumes([])
    done = run_script(RESULTS, "--link", "-f", container)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_the_command_serves_until_ctrl_c(exported):
    process = start(RESULTS, "--link", "-f", exported("precomputed")[0])
    try:
        url = process.stdout.readline()
        state = json.loads(urllib.parse.unquote(url).split("#!")[1])
        source = source_of(state["layers"][0])
        with urllib.request.urlopen(source.removeprefix("precomputed://") + "/info", timeout=20) as answer:
            assert json.loads(answer.read())["type"] == "image"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "interrupted\n")
        assert process.returncode == 130
    finally:
        process.kill()


@pytest.mark.browser
@pytest.mark.parametrize("kind", FORMATS)
def test_what_neuroglancer_shows_of_it(exported, browse, kind):
    """It reads the files itself, and shows each voxel where it is: (right, down) in nm from the volume's middle."""
    import neuroglancer

    volumes = linked_volumes(exported(kind))
    with FileServer({str(number): each.directory for number, each in enumerate(volumes)}) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state = link_state(volumes, server)
        state.layout = "xy"
        viewer = neuroglancer.Viewer()
        viewer.set_state(state)
        page = browse(viewer)
        grey, bright, dark = (170,) * 3, (220,) * 3, (30,) * 3
        # y is 400 nm high: 170 for 100 nm from the top; x: 220 for the first half of 480 nm
        edges = {(-200, -104): grey, (-200, -96): bright, (-4, 100): bright, (4, 100): dark, (-236, 100): bright,
                 (236, 100): dark}
        page.show("raw")
        seen = page.colours(edges)
        for place, colour in edges.items():
            assert np.abs(np.subtract(seen[place], colour)).max() <= 4, (kind, seen)
        page.show("segmentation")
        seen = page.colours(dict.fromkeys(((-100, -6), (-100, 6)), lambda colour: max(colour) != min(colour)))
        assert seen[(-100, -6)] != seen[(-100, 6)]
        page.show("affs")
        corners = {(-100, -100): (255, 0, 0), (100, -100): (0, 255, 0), (-100, 100): (0, 0, 255), (100, 100): (0, 0, 0)}
        assert page.colours(corners) == corners
        assert page.errors() == []
        server.shutdown()
