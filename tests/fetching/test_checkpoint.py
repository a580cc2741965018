"""``fetch_checkpoint.py`` and ``download_images.py``: files that join others in a directory."""

import re

import pytest

from lsd_experiments.fetching.command import checkpoint_main, images_main
from tests.fetching.conftest import files

PREFIX = "funke/zebrafinch/training/checkpoints"
KINDS = ("index", "meta", "data-00000-of-00001")


@pytest.fixture(scope="module")
def weights(bucket):
    """Two iterations of the baseline; of mtlsd one, without its data."""
    for iteration in (400000, 500000):
        for kind in KINDS:
            bucket.put(f"{PREFIX}/baseline/train_net_checkpoint_{iteration}.{kind}", f"{iteration} {kind}".encode())
    bucket.put(f"{PREFIX}/baseline/checkpoint", b'model_checkpoint_path: "train_net_checkpoint_500000"')
    bucket.put(f"{PREFIX}/baseline/train_net.json", b"{}")
    bucket.put(f"{PREFIX}/mtlsd/train_net_checkpoint_400000.index", b"1")
    for name in ("lsd:v0.8.img", "lsd_legacy.img"):
        bucket.put(f"funke/singularity/{name}", name.encode() * 1000)
    return bucket.url


@pytest.fixture
def setup(tmp_path):
    return tmp_path / "dest" / "zebrafinch" / "baseline"


def of_iteration(iteration: int) -> dict[str, bytes]:
    return {f"train_net_checkpoint_{iteration}.{kind}": f"{iteration} {kind}".encode() for kind in KINDS}


POINTER = {"checkpoint": b'model_checkpoint_path: "train_net_checkpoint_500000"'}


def test_the_published_iteration_of_the_baseline(weights, fetch, setup) -> None:
    done = fetch(url=weights, main=checkpoint_main)
    assert done.status == 0, done.err
    assert files(setup) == of_iteration(400000) | POINTER
    assert fetch(url=weights, main=checkpoint_main).out.endswith(": there already\n")


def test_another_iteration(weights, fetch, setup) -> None:
    assert fetch("--iteration", 500000, url=weights, main=checkpoint_main).status == 0
    assert files(setup) == of_iteration(500000) | POINTER
    refused = fetch("--iteration", 163000, url=weights, main=checkpoint_main)
    assert "no checkpoint of iteration 163000 (found: 400000, 500000). Name one" in refused.error


def test_our_own_files_stay(weights, fetch, setup) -> None:
    setup.mkdir(parents=True)
    ours = {"checkpoint": b"ours", "mknet.py": b"ours", "train_net.json": b"ours", "train_net_checkpoint_7.weights.h5": b"ours"}
    for name, content in ours.items():
        (setup / name).write_bytes(content)
    assert fetch(url=weights, main=checkpoint_main).status == 0
    assert files(setup) == of_iteration(400000) | ours
    (setup / "checkpoint").write_bytes(b"moved on by training")
    (setup / "train_net_checkpoint_400000.meta").unlink()
    assert fetch(url=weights, main=checkpoint_main).status == 0
    assert files(setup) == of_iteration(400000) | ours | {"checkpoint": b"moved on by training"}


def test_a_file_of_ours_with_a_published_name(weights, fetch, setup) -> None:
    setup.mkdir(parents=True)
    (setup / "train_net_checkpoint_400000.meta").write_bytes(b"ours")
    assert "400000.meta: was not fetched, and is not funke/" in fetch(url=weights, main=checkpoint_main).error
    assert files(setup) == {"train_net_checkpoint_400000.meta": b"ours"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--variant", "mtlsdd"], r"mtlsdd: no published weights; did you mean 'mtlsd'\? \(known: baseline"),
        (["--dataset", "fib26"], "no dataset 'fib26'; did you mean 'fib25'"),
        (["--variant", "mtlsd"], r"checkpoints/mtlsd/: no checkpoint of iteration 400000 \(found: 400000\)"),
        (["--variant", "aclsd"], r"no checkpoint of iteration 163000 \(found: none\)"),
    ],
)
def test_what_is_not_there(weights, fetch, tmp_path, arguments, reason) -> None:
    assert re.search(reason, fetch(*arguments, url=weights, main=checkpoint_main).error)
    assert not (tmp_path / "dest").exists()


def test_images(weights, fetch, tmp_path) -> None:
    paper, legacy = ({name: name.encode() * 1000} for name in ("lsd:v0.8.img", "lsd_legacy.img"))
    assert fetch(url=weights, main=images_main).status == 0
    assert files(tmp_path / "dest") == paper
    assert fetch("--all", url=weights, main=images_main).status == 0
    assert files(tmp_path / "dest") == paper | legacy
    assert "no image 'lsd.img'; did you mean" in fetch("--image", "lsd.img", url=weights, main=images_main).error


def test_a_mirror_without_images(fetch, tmp_path) -> None:
    (tmp_path / "mirror").mkdir()
    assert "funke/singularity/: no lsd:v0.8.img there" in fetch("--mirror", tmp_path / "mirror", main=images_main).error
