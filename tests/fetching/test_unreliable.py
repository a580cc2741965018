"""Files at URLs, from a server that misbehaves, changes them meanwhile, or is not there; and kills in mid file."""

import datetime
import email.utils
import hashlib
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.fetching import stores, transfer, urls
from lsd_experiments.fetching.stores import Interruption
from lsd_experiments.fetching.urls import UrlStore
from tests.fetching.conftest import ROOT, cut, fetched, holding
from tests.fetching.web import LABELS, RAW, TRAINING, etag_of


def test_a_truncated_body_is_taken_up_again(web, xpress, place):
    web.spoil = cut(1_048_576, 1)
    assert xpress("--volume", RAW).status == 0
    assert (place / RAW).read_bytes() == web.files[RAW]
    assert web.asked[-1] == (RAW, "bytes=1048576-", etag_of(web.files[RAW]))
    assert web.bodies(RAW) == [None, "bytes=1048576-"]


@pytest.mark.parametrize("lacking", ["has_ranges", "has_etags"])
def test_a_server_that_sends_no_parts_or_no_etags(web, xpress, place, lacking):
    """All comes again: what is there already is skipped, where the ETag says that it is the same."""
    setattr(web, lacking, False)
    web.spoil = cut(1_048_576, 1)
    assert xpress("--volume", RAW).status == 0
    assert (place / RAW).read_bytes() == web.files[RAW]
    assert web.bodies(RAW) == [None, "bytes=1048576-" if lacking == "has_ranges" else None]
    assert len(xpress("--volume", RAW).out.split(": there already")) == 2


def test_a_body_that_never_comes_whole(web, xpress, place):
    web.spoil = cut(0, 99)
    failed = xpress("--volume", RAW)
    assert failed.status == 2
    assert f"xpress/{RAW}: the connection broke off after 0 of 2000000 bytes (the connection broke). The same" in failed.error
    assert fetched(place) == {}
    web.spoil = cut(0, 0)
    assert xpress("--volume", RAW).status == 0


@pytest.mark.parametrize("has_etags", [True, False])
def test_a_file_that_changes_between_attempts(web, xpress, place, has_etags):
    """The old bytes are thrown away, also those of an earlier run."""
    web.has_etags = has_etags
    web.spoil = cut(1_048_576, 1)
    web.status[RAW] = [200, 200, 200, 403]
    assert xpress("--volume", RAW).status == 2
    old, web.files[RAW] = web.files[RAW], np.random.default_rng(1).bytes(2_000_000)
    assert [p.stat().st_size for p in place.rglob("*.part")] == [1_048_576 if has_etags else 0]  # begun anew, in vain
    assert old.startswith(next(place.rglob("*.part")).read_bytes())
    web.asked.clear()
    assert xpress("--volume", RAW).status == 0
    assert (place / RAW).read_bytes() == web.files[RAW]
    assert web.bodies(RAW) == [None]


def test_a_file_that_changes_while_it_is_fetched(web, xpress, place):
    def change(name):
        if len(web.bodies(RAW)) == 2:
            web.files[RAW] = np.random.default_rng(1).bytes(1_900_000)

    web.before, web.spoil = change, cut(1_048_576, 1)
    assert xpress("--volume", RAW).status == 0
    assert (place / RAW).read_bytes() == web.files[RAW]
    assert web.bodies(RAW) == [None, "bytes=1048576-", None]


def test_a_file_that_was_replaced_since(web, xpress, place):
    xpress()
    (place / "ours.txt").write_text("ours")
    web.files[LABELS] = b"new" * 500
    assert xpress().status == 0
    assert fetched(place) == {**{name: web.files[name] for name in TRAINING}, "ours.txt": b"ours"}
    assert hashlib.sha256(b"new" * 500).hexdigest() in (place / "SHA256SUMS").read_text()


@pytest.mark.parametrize(("times", "status"), [(1, 0), (99, 2)])
def test_damaged_bytes_get_no_name(web, xpress, place, times, status):
    """By the MD5 that the server says besides the ETag, which is no checksum."""
    left = [times]

    def flip(name, body):
        left[0] -= 1
        yield bytes([body[0] ^ 1]) + body[1:] if left[0] >= 0 else body

    web.spoil = flip
    done = xpress("--volume", RAW)
    assert done.status == status
    if status:
        assert f"{RAW}: damaged: what comes has not the MD5 that the server says" in done.error
    assert fetched(place) == ({} if status else {RAW: web.files[RAW]})


def test_what_one_run_leaves_another_does_not_remove(web, xpress, place):
    """Each file is of use alone."""
    web.spoil = cut(1_048_576, 99)
    web.status[RAW] = [200, 200, 200, 403]
    assert xpress("--volume", RAW).status == 2
    assert xpress("--volume", LABELS).status == 0
    assert [p.stat().st_size for p in place.rglob("*.part")] == [1_048_576]


@pytest.mark.parametrize(("status", "reason"), [
    ([404] * 9, "v1.0/xpress-training-raw.h5: not there (HTTP 404). Check its name in datasets.toml"),
    ([403] * 9, "v1.0/xpress-training-raw.h5: the server refuses it (HTTP 403). --mirror takes a copy"),
    ([503] * 9, "cannot be read (HTTP 503). Check the network"),
    ([503, 503], None),
    ([200, 200, 503, 503], None),
    ([200, 200, *[503] * 9], "the connection broke off after 0 of 2000000 bytes (HTTP 503)"),
])  # fmt: skip
def test_what_a_server_answers(web, xpress, place, status, reason):
    web.status[RAW] = status
    done = xpress("--volume", RAW)
    assert done.status == (2 if reason else 0)
    assert reason is None or reason in done.error
    assert fetched(place) == ({} if reason else {RAW: web.files[RAW]})


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://no-such-host.invalid", "not a url", "ftp://127.0.0.1", "http://"])
def test_nobody_there(fetch, url, tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    refused = fetch("--dataset", "xpress", url=url.format(port=unused_port()))
    assert refused.status == 2
    assert "cannot be read (" in refused.error
    assert "Check the network, and HTTPS_PROXY; --endpoint-url names another server" in refused.error
    assert not (tmp_path / "dest").exists()


@pytest.mark.timeout(60)  # without our own limit it would be longer
def test_a_server_that_says_nothing(monkeypatch):
    monkeypatch.setattr(urls, "PATIENCE", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        store = UrlStore("there", {"a": f"http://127.0.0.1:{silent.getsockname()[1]}/a"}, {})
        with pytest.raises(UserError, match=r"there: cannot be read \(no answer within 0.3 s\)"):
            store.check()
        monkeypatch.setattr(urls, "READ_TIMEOUT", 0.1)
        with pytest.raises(UserError, match=r"there: cannot be read \(nothing came for 0.1 s\)"):
            store.find("a")


@pytest.mark.timeout(60)
def test_a_server_that_falls_silent_in_mid_file(web, monkeypatch):
    monkeypatch.setattr(urls, "READ_TIMEOUT", 0.2)
    gate = threading.Event()

    def hold(name, body):
        yield body[:1_000_000]
        gate.wait(30)

    web.spoil = hold
    store = UrlStore("there", {"a": f"{web.url}v1.0/{RAW}"}, {})
    found, came = store.find("a"), []
    with pytest.raises(Interruption, match=r"nothing came for 0.2 s"):
        came.extend(store.read(found, 0))
    gate.set()
    assert web.files[RAW].startswith(b"".join(came))
    assert came


def test_a_proxy_of_the_environment(web, xpress, place, monkeypatch):
    """It is asked for the file, wherever that is said to be; without it there is nobody."""
    monkeypatch.setenv("http_proxy", web.url.removesuffix("/releases/"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert "HTTP 404" in xpress("--volume", RAW, url="http://github.invalid/nowhere").error  # the answer is the proxy's
    assert web.headers[-1]["Host"] == "github.invalid"
    monkeypatch.setenv("no_proxy", "github.invalid")
    assert "(no connection)" in xpress("--volume", RAW, url="http://github.invalid/nowhere").error


def test_a_redirect_that_leaves_encryption(web):
    """Only what the check looks at: there is no certificate here that a client would accept."""
    store = UrlStore("there", {"a": "https://there/a"}, {})
    answer = store._session.get(f"{web.url}v1.0/{RAW}", stream=True)
    with pytest.raises(UserError, match=r"^https://there/a: leads to a place without encryption"):
        store._check_answer("https://there/a", answer)
    store._check_answer("http://there/a", answer)
    answer.close()


def test_certificates_are_checked(tmp_path, monkeypatch):
    """One that nobody signed is refused."""
    key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "cert", "-subj", "/CN=127.0.0.1",
           "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
    try:
        subprocess.run(key, cwd=tmp_path, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    port = unused_port()
    command = ["openssl", "s_server", "-key", "key", "-cert", "cert", "-accept", f"127.0.0.1:{port}", "-www", "-quiet"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        store = UrlStore("there", {"a": f"https://127.0.0.1:{port}/"}, {})
        with pytest.raises(UserError, match=r"there: cannot be read \(its certificate is not accepted\)"):
            store.find("a")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert"))
        with pytest.raises(UserError, match=r"a web page comes|does not say its length"):  # the control: it is read
            store.find("a")
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def held(web):
    """Opens for the rest of a file after its first million bytes."""
    with holding(web) as gate:
        yield gate


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_mid_file(web, held, xpress, place, tmp_path, how):
    command = [sys.executable, ROOT / "01_data/fetch_data.py", "--dataset", "xpress", "--endpoint-url", web.url]
    process = subprocess.Popen([*command, "--dest", tmp_path / "dest"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not [part for part in place.rglob("*.part") if part.stat().st_size >= 786_432]:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(how)
    held.set()
    told = process.communicate(timeout=60)[1]
    if how == signal.SIGINT:
        assert (process.returncode, told.splitlines()[-1]) == (130, "interrupted")
    assert fetched(place) == {}
    (part,) = place.rglob("*.part")
    begin = part.stat().st_size
    assert web.files[RAW].startswith(part.read_bytes())
    web.asked.clear()
    again = xpress()
    assert again.status == 0, again.err
    assert fetched(place) == {name: web.files[name] for name in TRAINING}
    assert web.bodies(RAW) == [f"bytes={begin}-"]
    assert hashlib.sha256(web.files[RAW]).hexdigest() in (place / "SHA256SUMS").read_text()


def test_killed_before_the_record(web, xpress, place):
    """The file is taken over by its content, and its checksum is recorded."""
    xpress("--volume", RAW)
    for name in (".fetched.jsonl", "SHA256SUMS"):
        (place / name).unlink()
    assert xpress("--volume", RAW).out.endswith(": there already\n")
    assert len(web.bodies(RAW)) == 1
    assert RAW in (place / "SHA256SUMS").read_text()


def test_it_is_patient_for_less_than_ten_seconds():
    assert urls.PATIENCE < 9


def test_an_overloaded_server_is_waited_for(web, xpress, place, monkeypatch):
    """As long as it asks for, in seconds or until a date."""
    waited = []
    for module in (urls, transfer):
        monkeypatch.setattr(module, "pause", lambda tries, after: waited.append(after) or 0)
    web.retry_after = "7"
    web.status[LABELS] = [503, 429, 200, 502]
    assert xpress("--volume", LABELS).status == 0
    assert fetched(place) == {LABELS: web.files[LABELS]}
    assert waited == [7, 7], "once for its length, once for its content"
    date = email.utils.format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=50))
    for text, least, most in ((date, 40, 50), ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0), ("soon", 0, 0), ("", 0, 0), ("-5", 0, 0)):
        assert least <= urls._after(text) <= most


def test_pauses_grow_and_are_bounded(monkeypatch):
    monkeypatch.undo()
    assert stores.pause(1) <= 0.5
    for tries in range(1, 30):
        most = min(stores.LONGEST, 0.5 * 2 ** (tries - 1))
        assert most / 2 <= stores.pause(tries) <= most
    assert len({stores.pause(5) for _ in range(10)}) > 1, "not all clients at a time"
    assert stores.pause(1, after=9) == 9
    assert stores.pause(1, after=10**9) == stores.PATIENT
    assert sum(min(stores.LONGEST, 0.5 * 2**tries) for tries in range(stores.TRIES)) < 90
