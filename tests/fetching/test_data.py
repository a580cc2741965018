"""``fetch_data.py``: volumes from a real server, and from a mirror."""

import functools
import http.server
import json
import os
import threading

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.fetching import command, s3, transfer
from lsd_experiments.fetching.plan import make_plan, whole_directory
from lsd_experiments.fetching.stores import DirectoryStore, Interruption
from tests.fetching.conftest import BUCKET, FINCH, FIRST, HEMI, cut, files

TRAINING = "funke/fib25/training"


@pytest.fixture
def training(tmp_path):
    return tmp_path / "dest" / TRAINING


def test_the_first_volume_of_each_dataset(bucket, tree, fetch, tmp_path) -> None:
    done = fetch(url=bucket.url)
    assert (done.status, len(done.out.splitlines())) == (0, 3), done.err
    for dataset, name in FIRST.items():
        path = f"funke/{dataset}/training/{name}"
        assert files(tmp_path / "dest" / path) == files(tree / path)
    path, labels = f"funke/zebrafinch/training/{FINCH}", "volumes/labels/neuron_ids"
    volume = open_volume(str(tmp_path / "dest" / path), labels)
    assert (volume.voxel_size, volume.offset) == ((20, 9, 9), (20, 9, 9))
    np.testing.assert_array_equal(volume.read(), open_volume(str(tree / path), labels).read())
    assert not [*(tmp_path / "dest").rglob("*.part"), *(tmp_path / "dest").rglob("*.partial")]


def test_fetched_again_it_reads_nothing(bucket, proxy, fetch, training) -> None:
    arguments = ("--dataset", "fib25", "--volume", "trvol-250-1.zarr")
    fetch(*arguments, url=proxy.url)
    asked, before = len(proxy.ranges), {path: path.stat().st_mtime_ns for path in training.rglob("*")}
    assert asked == len(files(training / "trvol-250-1.zarr"))
    again = fetch(*arguments, url=proxy.url)
    assert again.out.endswith(": there already\n")
    assert len(proxy.ranges) == asked
    assert {path: path.stat().st_mtime_ns for path in training.rglob("*")} == before
    assert "fetching" not in again.err


def test_a_dry_run_writes_nothing(bucket, tree, fetch, tmp_path) -> None:
    done = fetch("--dataset", "fib25", "--dataset", "hemi", "--dry-run", url=bucket.url)
    assert done.status == 0
    size = len(b"".join(files(tree / f"funke/hemi/training/{HEMI}").values()))
    lines = done.out.splitlines()
    assert lines[1].endswith(f"{HEMI}: 17 objects, {size / 1000:.3g} kB, {size / 1000:.3g} kB to fetch")
    assert lines[2].startswith("total: ")
    assert lines[3].startswith("free: ")
    assert not (tmp_path / "dest").exists()


def test_a_mirror(tree, fetch, training, proxy) -> None:
    done = fetch("--dataset", "fib25", "--mirror", tree)
    assert done.status == 0, done.err
    assert files(training) == {
        f"{FIRST['fib25']}/{path}": content for path, content in files(tree / TRAINING / FIRST["fib25"]).items()
    }
    assert fetch("--dataset", "fib25", "--mirror", tree).out.endswith(": there already\n")
    assert fetch("--dataset", "fib25", url=proxy.url).out.endswith(": there already\n")  # sizes count: a mirror has no ETags
    assert proxy.ranges == []


def test_a_mirror_that_is_not_there(fetch, tmp_path) -> None:
    assert fetch("--mirror", tmp_path / "nowhere").error.endswith(
        "nowhere: no such directory. --mirror names one that holds funke/, as the bucket does"
    )


def test_objects_that_were_uploaded_in_parts(bucket, proxy, fetch, training) -> None:
    """One in the parts that the AWS CLI makes, one in parts that only the server knows."""
    content = np.random.default_rng(1).bytes(9 * 2**20)
    bucket.put_in_parts(f"{TRAINING}/parts.zarr/usual", [content[: 8 * 2**20], content[8 * 2**20 :]])
    bucket.put_in_parts(f"{TRAINING}/parts.zarr/unusual", [content[:5_555_555], content[5_555_555:]])
    done = fetch("--dataset", "fib25", "--volume", "parts.zarr", url=proxy.url)
    assert done.status == 0, done.err
    assert files(training / "parts.zarr") == {"usual": content, "unusual": content}
    recorded = [json.loads(line)["etag"] for line in (training / "parts.zarr/.fetched.jsonl").read_text().splitlines()]
    assert all(etag.endswith("-2") for etag in recorded)

    def flip(key, body):
        yield bytes([body[0] ^ 1]) + body[1:]

    proxy.spoil = flip
    bucket.put_in_parts(f"{TRAINING}/flipped.zarr/usual", [content[: 8 * 2**20], content[8 * 2**20 :]])
    assert "damaged" in fetch("--dataset", "fib25", "--volume", "flipped.zarr", url=proxy.url).error


def put_object(bucket, name: str, seed: int = 2, size: int = 700_000) -> bytes:
    """A volume of one object, ``raw``."""
    content = np.random.default_rng(seed).bytes(size)
    bucket.put(f"{TRAINING}/{name}/raw", content)
    return content


def test_a_connection_that_breaks_is_taken_up_again(bucket, proxy, fetch, training) -> None:
    content = put_object(bucket, "cut.zarr")
    proxy.spoil = cut(300_000, 1)
    done = fetch("--dataset", "fib25", "--volume", "cut.zarr", url=proxy.url)
    assert done.status == 0, done.err
    assert (training / "cut.zarr/raw").read_bytes() == content
    assert proxy.asked("cut.zarr/raw") == [None, "bytes=300000-"]


def test_an_object_that_never_comes_whole(bucket, proxy, fetch, training) -> None:
    content = put_object(bucket, "short.zarr")
    proxy.spoil = cut(262_144, 1)
    put = fetch("--dataset", "fib25", "--volume", "short.zarr", url=proxy.url)
    assert put.status == 0, "the control"
    bucket.put(f"{TRAINING}/short.zarr/raw", content[::-1])
    proxy.spoil = cut(0, 99)
    failed = fetch("--dataset", "fib25", "--volume", "short.zarr", url=proxy.url)
    assert failed.status == 2
    assert "short.zarr/raw: the connection broke off after 0 of 700000 bytes" in failed.error
    assert (training / "short.zarr/raw").read_bytes() == content  # the older one stays, and stays whole


@pytest.mark.parametrize(("times", "status"), [(1, 0), (99, 2)])
def test_damaged_bytes_get_no_name(bucket, proxy, fetch, training, times, status) -> None:
    content, left = put_object(bucket, "damaged.zarr"), [times]

    def flip(key, body):
        left[0] -= 1
        yield bytes([body[0] ^ 1]) + body[1:] if left[0] >= 0 else body

    proxy.spoil = flip
    done = fetch("--dataset", "fib25", "--volume", "damaged.zarr", url=proxy.url)
    assert done.status == status
    if status:
        assert "damaged.zarr/raw: damaged: what comes has not the MD5 of its ETag" in done.error
        assert files(training) == {}
    else:
        assert (training / "damaged.zarr/raw").read_bytes() == content


def test_an_object_that_changes_while_it_is_fetched(bucket, proxy, fetch, training) -> None:
    put_object(bucket, "changing.zarr")
    news = []

    def change(key):
        if not news:
            news.append(put_object(bucket, "changing.zarr", seed=3, size=500_000))

    proxy.before = change
    done = fetch("--dataset", "fib25", "--volume", "changing.zarr", url=proxy.url)
    assert done.status == 0, done.err
    assert (training / "changing.zarr/raw").read_bytes() == news[0]


def test_an_object_that_never_stays_the_same(bucket, proxy, fetch, training) -> None:
    seeds = iter(range(4, 99))
    proxy.before = lambda key: put_object(bucket, "restless.zarr", next(seeds)) and None
    put_object(bucket, "restless.zarr")
    assert "raw: changes while it is fetched" in fetch("--dataset", "fib25", "--volume", "restless.zarr", url=proxy.url).error
    assert not (training / "restless.zarr").exists()


@pytest.mark.timeout(60)  # without an end it would be read for ever
@pytest.mark.parametrize("longer", [1, 3_000_000])
def test_an_object_that_is_longer_than_it_is_listed(bucket, proxy, fetch, training, longer) -> None:
    content = put_object(bucket, "long.zarr")
    proxy.longer = longer
    refused = fetch("--dataset", "fib25", "--volume", "long.zarr", url=proxy.url)
    assert refused.status == 2
    assert "long.zarr/raw: changes while it is fetched (more than the 700000 bytes that it should have come)" in refused.error
    assert proxy.asked("long.zarr/raw") == [None] * transfer.CHANGES
    assert files(training) == {}
    proxy.longer = 0
    assert fetch("--dataset", "fib25", "--volume", "long.zarr", url=proxy.url).status == 0
    assert (training / "long.zarr/raw").read_bytes() == content


class Breaking(DirectoryStore):
    """Breaks off after a byte, each time; it has no ETags, so each try begins anew."""

    reads = 0

    def read(self, found, begin):
        self.reads += 1
        yield b"1"
        raise Interruption("as ever")


@pytest.mark.timeout(60)  # without an end it would be tried for ever
def test_an_object_without_an_etag_that_never_comes_whole(tmp_path) -> None:
    (tmp_path / "mirror/funke").mkdir(parents=True)
    (tmp_path / "mirror/funke/raw").write_bytes(b"123")
    store = Breaking(tmp_path / "mirror")
    plan = make_plan(whole_directory("funke/", tmp_path / "a.zarr"), store.objects("funke/"))
    with pytest.raises(UserError, match=r"raw: the connection broke off after 1 of 3 bytes .* The same command starts it anew"):
        transfer.transfer(store, [plan], jobs=1)
    assert store.reads == 1 + transfer.IDLE_TRIES


def test_an_object_that_changed_since_the_last_run(bucket, proxy, fetch, training) -> None:
    """The part of the old content is not continued, and a finished volume gets the new object and keeps what was added."""
    put_object(bucket, "new.zarr")
    bucket.put(f"{TRAINING}/new.zarr/.zgroup", b"{}")

    def break_off(key, body):
        if key.endswith("raw"):
            yield body[: 300_000 if len(proxy.asked("raw")) == 1 else 0]
            yield None
        yield body

    proxy.spoil = break_off
    assert fetch("--dataset", "fib25", "--volume", "new.zarr", url=proxy.url).status == 2
    begun = [path.stat().st_size for path in (training / "new.zarr.partial").glob("raw.*.part")]
    assert begun == [300_000]
    proxy.ranges.clear()
    proxy.spoil = lambda key, body: iter((body,))
    content = put_object(bucket, "new.zarr", seed=3)
    assert fetch("--dataset", "fib25", "--volume", "new.zarr", url=proxy.url).status == 0
    assert (training / "new.zarr/raw").read_bytes() == content
    assert proxy.ranges == [(f"/{BUCKET}/{TRAINING}/new.zarr/raw", None)]  # from its first byte; .zgroup was there

    (training / "new.zarr/mask").write_bytes(b"ours")
    newer = put_object(bucket, "new.zarr", seed=4)
    assert fetch("--dataset", "fib25", "--volume", "new.zarr", url=proxy.url).status == 0
    assert files(training / "new.zarr") == {"raw": newer, "mask": b"ours", ".zgroup": b"{}"}
    assert not (training / "new.zarr.partial").exists()


def test_a_file_that_was_spoilt_here_is_fetched_again(bucket, proxy, fetch, training) -> None:
    arguments = ("--dataset", "fib25", "--volume", "trvol-250-1.zarr")
    fetch(*arguments, url=bucket.url)
    chunk = training / "trvol-250-1.zarr/volumes/raw/0.0.0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-1])
    assert fetch(*arguments, url=proxy.url).status == 0
    assert chunk.read_bytes() == whole
    assert len(proxy.ranges) == 1


def test_a_volume_that_another_program_fetched(bucket, proxy, fetch, training) -> None:
    """As the published fetch_data.py left it: taken over if it is the same, and left alone if it is not."""
    content = put_object(bucket, "theirs.zarr")
    (training / "theirs.zarr").mkdir(parents=True)
    (training / "theirs.zarr/raw").write_bytes(content[::-1])
    refused = fetch("--dataset", "fib25", "--volume", "theirs.zarr", url=proxy.url)
    assert "theirs.zarr/raw: was not fetched, and its content is not that of" in refused.error
    assert (training / "theirs.zarr/raw").read_bytes() == content[::-1]
    (training / "theirs.zarr/raw").write_bytes(content)
    for _ in range(2):
        assert fetch("--dataset", "fib25", "--volume", "theirs.zarr", url=proxy.url).out.endswith(": there already\n")
    assert proxy.ranges == []


@pytest.mark.parametrize("key", ["../../escaped", "volumes/../../escaped", "volumes//raw", r"..\escaped"])
def test_a_key_that_leads_out(bucket, fetch, tmp_path, key) -> None:
    bucket.put(f"{TRAINING}/evil.zarr/raw", b"1")
    bucket.put(f"{TRAINING}/evil.zarr/{key}", b"2")
    try:
        refused = fetch("--dataset", "fib25", "--volume", "evil.zarr", url=bucket.url)
    finally:
        bucket.client.delete_object(Bucket=BUCKET, Key=f"{TRAINING}/evil.zarr/{key}")
    assert refused.status == 2
    assert refused.error.startswith("error: ")
    assert "no key for a file below" in refused.error
    assert not (tmp_path / "dest").exists()
    assert fetch("--dataset", "fib25", "--volume", "evil.zarr", url=bucket.url).status == 0


def test_what_is_not_there(bucket, tree, fetch, tmp_path, monkeypatch) -> None:
    missing = fetch("--dataset", "fib25", "--volume", "trvol-250-2.zarr", url=bucket.url)
    assert "funke/fib25/training/: no volume 'trvol-250-2.zarr'; did you mean 'trvol-250-1.zarr'? (found" in missing.error
    assert "did you mean 'trvol-250-1.zarr'" in fetch("--volume", "trvol-250-2.zarr", "--mirror", tree).error
    (tmp_path / "empty").mkdir()
    assert (
        "no volume 'trvol-250-2.zarr' (found: none)"
        in fetch("--volume", "trvol-250-2.zarr", "--mirror", tmp_path / "empty").error
    )
    other = tmp_path / "datasets.toml"
    other.write_text(command.CATALOGUE.read_text().replace(f'name = "{BUCKET}"', 'name = "no-such-bucket"'))
    monkeypatch.setattr(command, "CATALOGUE", other)
    assert f"s3://no-such-bucket at {bucket.url}: no such bucket. Check" in fetch(url=bucket.url).error
    assert not (tmp_path / "dest").exists()


def test_a_server_that_is_no_bucket(fetch, tmp_path) -> None:
    """A web server that has no such page."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        refused = fetch(url=f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    assert refused.status == 2
    assert ": no such bucket. Check its name, and --endpoint-url" in refused.err.splitlines()[-1]


def test_what_is_not_for_everybody(bucket, fetch, training) -> None:
    bucket.put(f"{TRAINING}/secret.zarr/raw", b"1", acl="private")
    refused = fetch("--dataset", "fib25", "--volume", "secret.zarr", url=bucket.url)
    assert refused.status == 2
    assert "secret.zarr/raw: the server refuses to show it to everybody (HTTP 403" in refused.error
    assert not (training / "secret.zarr").exists()


def test_a_place_that_cannot_be_written(bucket, fetch, tmp_path) -> None:
    (tmp_path / "dest").write_text("a file")
    assert "dest: not a directory" in fetch("--dataset", "fib25", url=bucket.url).error


def test_no_credentials_are_sent(bucket, fetch, monkeypatch) -> None:
    """Also where the machine has some."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "private")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "private")
    store = s3.S3Store(BUCKET, "us-east-1", bucket.url)
    seen = []
    store._first.meta.events.register("before-send.s3.*", lambda request, **_: seen.append(dict(request.headers)) and None)
    store.check()
    assert len(seen) == 1
    assert not {"authorization", "x-amz-security-token"} & {name.lower() for name in seen[0]}
    assert "private" not in str(seen)


def test_the_environment_names_a_server(bucket, fetch, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.url)
    assert fetch("--dataset", "hemi").status == 0
    assert os.environ["AWS_ENDPOINT_URL"] == bucket.url


def test_an_overloaded_server_is_not_final(bucket, proxy, fetch, tmp_path, tree) -> None:
    """At first, for a listing, and for an object: 5xx is asked again; one that stays so is an error in words."""
    proxy.statuses = [503, 503, 503, 500, 200, 502]
    assert fetch("--dataset", "hemi", url=proxy.url).status == 0
    path = f"funke/hemi/training/{HEMI}"
    assert files(tmp_path / "dest" / path) == files(tree / path)
    assert proxy.statuses == []


def test_a_server_that_stays_overloaded(proxy, monkeypatch) -> None:
    monkeypatch.setattr(s3, "TRIES", 2)
    store = s3.S3Store(BUCKET, "us-east-1", proxy.url)
    proxy.statuses = [503] * 99
    with pytest.raises(UserError, match=r"answers HTTP 503 \(SlowDown\) 2 times\. Try again later: what came is kept"):
        list(store.objects("funke/"))
    assert len(proxy.statuses) == 97
