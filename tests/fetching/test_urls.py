"""``fetch_data.py --dataset xpress``: files at URLs, from a real server that redirects, and may misbehave."""

import datetime
import email.utils
import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.fetching import command, stores, transfer, urls
from lsd_experiments.fetching.catalogue import Release, load_catalogue
from lsd_experiments.fetching.plan import make_plan, part_path, single_file
from lsd_experiments.fetching.releases import choose_files, open_release
from lsd_experiments.fetching.stores import Interruption
from lsd_experiments.fetching.urls import UrlStore
from tests.fetching.conftest import FIRST, ROOT, cut, files
from tests.fetching.web import SIGNATURE, Web, etag_of, serving

RAW, LABELS, SKELETONS = "xpress-training-raw.h5", "xpress-training-voxel-labels.h5", "XPRESS_training_skels.npz"
TRAINING = [RAW, LABELS, SKELETONS]
FURTHER = ["xpress-validation-raw.h5", "XPRESS_validation_skels.npz", "xpress-test-raw.h5"]
ON_REQUEST = ["baseline_seg_training.h5", "baseline_seg_validation.h5"]
WEIGHTS = "model_checkpoint_320000"
OURS = {"SHA256SUMS"}


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


@pytest.mark.parametrize(("arguments", "names"), [
    ([], TRAINING),
    (["--all"], TRAINING + FURTHER),
    (["--volume", SKELETONS, "--volume", ON_REQUEST[0]], [SKELETONS, ON_REQUEST[0]]),
])  # fmt: skip
def test_what_is_fetched(web, xpress, place, arguments, names):
    done = xpress(*arguments)
    assert (done.status, done.out.splitlines()[0].split(":")[0]) == (0, str(place / names[0])), done.err
    assert fetched(place) == {name: web.files[name] for name in names}
    assert not [*place.rglob("*.part"), *place.rglob("*.partial")]


def test_the_checksums_are_recorded(web, xpress, place):
    assert xpress().status == 0
    checked = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=place, capture_output=True, text=True, check=True)
    assert checked.stdout.splitlines() == [f"{name}: OK" for name in sorted(TRAINING)]
    recorded = {line["path"]: line["sha256"] for line in map(json.loads, (place / ".fetched.jsonl").read_text().splitlines())}
    assert recorded == {name: hashlib.sha256(web.files[name]).hexdigest() for name in TRAINING}
    assert xpress("--volume", FURTHER[0]).status == 0
    assert len((place / "SHA256SUMS").read_text().splitlines()) == 4


def test_fetched_again_it_reads_nothing(web, xpress, place):
    xpress()
    before, asked = {path: path.stat().st_mtime_ns for path in place.iterdir()}, len(web.bodies(RAW))
    again = xpress()
    assert again.out.count(": there already\n") == 3
    assert len(web.bodies(RAW)) == asked == 1
    assert {path: path.stat().st_mtime_ns for path in place.iterdir()} == before


def test_what_was_spoilt_here_is_fetched_again(web, xpress, place, caplog):
    """Its size is still the same, and so is what the server says."""
    xpress()
    content = bytearray(web.files[LABELS])
    content[7] ^= 1
    (place / LABELS).write_bytes(content)
    again = xpress()
    assert again.status == 0
    assert f"{LABELS}: has not the SHA-256 any more that it was fetched with" in caplog.text
    assert (place / LABELS).read_bytes() == web.files[LABELS]
    assert [len(web.bodies(name)) for name in TRAINING] == [1, 2, 1]


def test_a_dry_run_writes_nothing(web, xpress, tmp_path):
    done = xpress("--all", "--dry-run")
    assert (done.status, len(done.out.splitlines())) == (0, 8)
    assert f"{RAW}: 2 MB, 2 MB to fetch" in done.out
    assert "total: 2.01 MB, 2.01 MB to fetch" in done.out
    assert web.bodies(RAW) == []
    assert not (tmp_path / "dest").exists()


def test_without_a_dataset_it_is_the_papers(web, bucket, fetch, tmp_path):
    """XPRESS is asked for by name; a file's name says it as well."""
    assert fetch(url=bucket.url).status == 0
    assert sorted(path.name for path in (tmp_path / "dest/funke").iterdir()) == sorted(FIRST)
    assert web.asked == []
    assert fetch("--volume", SKELETONS, url=web.url).status == 0
    assert fetched(tmp_path / "dest/xpress") == {SKELETONS: web.files[SKELETONS]}


def test_both_kinds_from_a_mirror(web, tree, fetch, tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "xpress").mkdir(parents=True)
    (mirror / "funke").symlink_to(tree / "funke")
    for name in TRAINING:
        (mirror / "xpress" / name).write_bytes(web.files[name])
    done = fetch("--dataset", "fib25", "--dataset", "xpress", "--mirror", mirror)
    assert (done.status, len(done.out.splitlines())) == (0, 4), done.err
    assert fetched(tmp_path / "dest/xpress") == {name: web.files[name] for name in TRAINING}
    assert (tmp_path / "dest/funke/fib25/training" / FIRST["fib25"]).is_dir()
    assert f"{FURTHER[0]}: no such file" in fetch("--volume", FURTHER[0], "--mirror", mirror).error
    refused = fetch("--dataset", "fib25", "--dataset", "xpress", url=web.url)
    assert "--endpoint-url is for one source" in refused.error


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


def test_a_published_checksum_is_enforced(web, xpress, place, tmp_path, monkeypatch):
    other = tmp_path / "datasets.toml"
    monkeypatch.setattr(command, "CATALOGUE", other)
    text = (ROOT / "01_data/datasets.toml").read_text()
    right, wrong = hashlib.sha256(web.files[RAW]).hexdigest(), "0" * 64
    other.write_text(f'{text}\n[releases.xpress.sha256]\n"{RAW}" = "{wrong}"\n')
    refused = xpress("--volume", RAW)
    assert f"{RAW}: damaged: what comes has the SHA-256 {right}, not the published one, {wrong}" in refused.error
    assert fetched(place) == {}
    other.write_text(other.read_text().replace(wrong, right))
    assert xpress("--volume", RAW).status == 0


def test_a_file_that_another_program_fetched(web, xpress, place):
    place.mkdir(parents=True)
    (place / RAW).write_bytes(web.files[RAW][::-1])
    refused = xpress("--volume", RAW)
    assert f"{RAW}: was not fetched, and its content is not that of xpress/{RAW}: it has not the MD5" in refused.error
    assert (place / RAW).read_bytes() == web.files[RAW][::-1]
    (place / RAW).write_bytes(web.files[RAW])
    assert xpress("--volume", RAW).out.endswith(": there already\n")
    assert web.bodies(RAW) == []
    assert hashlib.sha256(web.files[RAW]).hexdigest() in (place / "SHA256SUMS").read_text()


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


def test_names_that_are_not_there(web, xpress, fetch, tmp_path):
    assert f"no file 'xpress-training-raw' in xpress; did you mean '{RAW}'?" in xpress("--volume", "xpress-training-raw").error
    assert "no dataset 'xpres'; did you mean 'xpress'? (known: zebrafinch, fib25, hemi, xp" in fetch("--dataset", "xpres").error
    web.files[RAW] = b""
    assert "the file there is empty" in xpress().error
    del web.files[RAW]
    assert "HTTP 404" in xpress().error
    assert not (tmp_path / "dest").exists()


def test_a_page_in_place_of_a_file(web, xpress, tmp_path):
    web.content_type = "text/html; charset=utf-8"
    assert f"{RAW}: a web page comes in place of the file" in xpress().error
    assert not (tmp_path / "dest").exists()


def test_no_message_shows_a_signed_url_and_no_credentials_are_sent(web, xpress, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1\nlogin private\npassword private\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    web.status[RAW] = [200, 200, 403]
    told = xpress("--volume", RAW).err
    web.spoil = cut(0, 99)
    told += xpress("--volume", RAW).err
    assert "error: " in told
    assert SIGNATURE not in told
    assert "private" not in str(web.headers)
    assert not {"Authorization", "Cookie"} & {name for headers in web.headers for name in headers}


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
    gate = threading.Event()

    def hold(name, body):
        yield body[:1_000_000]
        gate.wait(60)
        yield body[1_000_000:]

    web.spoil = hold
    yield gate
    gate.set()


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


def test_the_parts_of_two_etags_are_two_files(web, tmp_path):
    """An ETag that is no MD5 still tells contents apart."""
    store = UrlStore("there", {"a/b": f"{web.url}v1.0/{RAW}"}, {})
    plans = []
    for content in (b"one", b"two"):
        web.files[RAW] = content
        plans.append(make_plan(single_file("a/b", tmp_path), [store.find("a/b")]))
    assert len({part_path(plan.target, plan.missing[0]).name for plan in plans}) == 2


def test_the_weights_of_the_baseline(web, fetch, tmp_path):
    setup = tmp_path / "dest/xpress/baseline"

    def weights(*arguments):
        return fetch("--dataset", "xpress", *arguments, url=web.url, main=command.checkpoint_main)

    assert weights("--dry-run").status == 0
    assert not setup.exists()
    assert weights("--variant", "baseline").status == 0
    assert fetched(setup) == {WEIGHTS: web.files[WEIGHTS]}
    assert weights("--iteration", 320_000).out.endswith(": there already\n")
    assert f"{WEIGHTS}: the published weights are of iteration 320000 alone, not 400000" in weights("--iteration", 400_000).error
    assert "xpress mtlsd: no published weights (known: baseline)" in weights("--variant", "mtlsd").error


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue(command.CATALOGUE)


def test_what_options_choose(catalogue):
    def names(*options):
        return [name for _, names in choose_files(catalogue, *options) for name in names]

    assert names(["xpress"], None, False) == TRAINING
    assert names(["xpress"], None, True) == TRAINING + FURTHER
    assert names(["fib25"], None, True) == names(None, None, True) == []
    assert names(None, [RAW, "trvol-250-1.zarr", RAW], False) == [RAW]
    assert names(["xpress", "fib25"], [RAW, "trvol-250-1.zarr"], False) == [RAW]
    assert names(["xpress"], ON_REQUEST, False) == ON_REQUEST
    with pytest.raises(UserError, match=f"no file '{WEIGHTS}' in xpress"):  # no data
        names(["xpress"], [WEIGHTS], False)


def test_the_published_urls(catalogue):
    release = catalogue.releases["xpress"]
    base = "https://github.com/htem/xpress-challenge-files/releases/download"
    at = {name: release.url + path for name, path in release.paths.items()}
    assert at[RAW] == f"{base}/v1.0/{RAW}"
    assert at[WEIGHTS] == f"{base}/baseline/{WEIGHTS}"
    assert sorted(at) == sorted([*TRAINING, *FURTHER, *ON_REQUEST, WEIGHTS])
    assert release.prefix == "xpress/"


@pytest.mark.parametrize(("change", "reason"), [
    ({"further": ("v2.0/xpress-training-raw.h5",)}, "same name"),
    ({"iterations": {}}, "same variants"),
    ({"sha256": {RAW: "abc"}}, "64 hexadecimal digits"),
    ({"sha256": {"other.h5": "0" * 64}}, "one of the files"),
])  # fmt: skip
def test_a_wrong_release_is_refused(catalogue, change, reason):
    values = catalogue.releases["xpress"].model_dump()
    assert Release(**values).paths
    with pytest.raises(ValueError, match=reason):
        Release(**values | change)


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


def test_names_that_urls_would_misread(catalogue):
    release = catalogue.releases["xpress"].model_copy(update={"training": ("v1/a#b?c%20[1] ä.h5",)})
    store = open_release(release, ["a#b?c%20[1] ä.h5"], "http://there", None, 1)
    assert store._urls == {"xpress/a#b?c%20[1] ä.h5": "http://there/v1/a%23b%3Fc%2520%5B1%5D%20%C3%A4.h5"}
