"""The commands of docs/containers.md, in a checkout with an image beside it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.container.conftest import ROOT, link
from tests.fetching.conftest import FINCH, Bucket, bucket, server, tree  # noqa: F401  # fixtures
from tests.test_documentation import Block, read_blocks

pytestmark = pytest.mark.container

PAGE = read_blocks(ROOT / "docs/containers.md")
SECONDS = 300


def blocks(reason: str) -> list[Block]:
    found = [block for block in PAGE if block.reason and block.reason.startswith(reason)]
    assert found, f"docs/containers.md has no blocks that {reason}"
    return found


def run_block(block: Block, checkout: Path, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", block.code], cwd=checkout, env=environment | variables,
                          timeout=SECONDS, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{block.place}:\n{block.code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_commands_run_in_the_image(image: Path, checkout: Path) -> None:
    link(checkout / "lsd.img", image)
    said = "".join(run_block(block, checkout) for block in blocks("needs an image"))
    assert "self-test passed" in said
    assert (checkout / "work/02_train/zebrafinch/mtlsd/train.py").is_file()
    setup = checkout / "02_train/zebrafinch/mtlsd"
    for name in ("train_net.json", "train_net_checkpoint_1.weights.h5", "test_prediction.zarr/volumes/affs/.zarray",
                 "prediction.zarr/volumes/lsds/.zarray", "../../../01_data/sample.zarr/volumes/labels/unlabeled_mask/.zarray"):
        assert (setup / name).is_file(), name


@pytest.mark.usefixtures("bucket")
def test_volumes_are_fetched_and_masked_in_the_image(image: Path, checkout: Path, server: str) -> None:  # noqa: F811
    link(checkout / "lsd.img", image)
    (block,) = blocks("needs the network")
    run_block(block, checkout, AWS_ENDPOINT_URL=server)
    (volume,) = checkout.rglob(FINCH)
    assert (volume / "volumes/raw/.zarray").is_file()
    assert (volume / "volumes/labels/labels_mask/.zarray").is_file()
