"""``fetch_data.py --dataset xpress``: files at URLs, from a real server that redirects."""

import hashlib
import json
import subprocess

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.fetching import command
from lsd_experiments.fetching.catalogue import Release, load_catalogue
from lsd_experiments.fetching.plan import make_plan, part_path, single_file
from lsd_experiments.fetching.releases import choose_files, open_release
from lsd_experiments.fetching.urls import UrlStore
from tests.fetching.conftest import FIRST, ROOT, cut, fetched
from tests.fetching.web import FURTHER, LABELS, ON_REQUEST, RAW, SIGNATURE, SKELETONS, TRAINING, WEIGHTS


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


def test_names_that_urls_would_misread(catalogue):
    release = catalogue.releases["xpress"].model_copy(update={"training": ("v1/a#b?c%20[1] ä.h5",)})
    store = open_release(release, ["a#b?c%20[1] ä.h5"], "http://there", None, 1)
    assert store._urls == {"xpress/a#b?c%20[1] ä.h5": "http://there/v1/a%23b%3Fc%2520%5B1%5D%20%C3%A4.h5"}
