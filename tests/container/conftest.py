"""An image that was built before (``LSD_IMAGE``, or ``lsd.img`` of this checkout), and commands in it, run by Apptainer."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def image() -> Iterator[Path]:
    """The image, in a directory of its own that all users may read."""
    built = Path(os.environ.get("LSD_IMAGE", ROOT / "lsd.img"))
    if not built.is_file():
        pytest.skip(f"no image at {built}: ./setup.sh container --cpu builds one")
    if shutil.which("apptainer") is None or shutil.which("singularity") is None:
        pytest.skip("needs apptainer and singularity on the PATH")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        linked = Path(directory) / "lsd.img"
        linked.parent.chmod(0o755)
        link(linked, built)
        yield linked


def link(path: Path, image: Path) -> None:
    """Let ``path`` be ``image``, too."""
    try:
        path.hardlink_to(image)
    except OSError:  # another file system
        shutil.copy(image, path)


@pytest.fixture(scope="session")
def run(image: Path) -> Run:
    """``run(*words)``: what ``singularity exec [options] IMAGE words`` did, in the directory ``cwd`` (default: the image's)."""

    def start(*words: object, options: Sequence[object] = (), cwd: Path = image.parent,
              verb: str = "exec") -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
        return subprocess.run(["singularity", verb, *map(str, options), str(image), *map(str, words)], cwd=cwd, timeout=300,
                              env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    return start


def copy_of_checkout(directory: Path) -> Path:
    """What git tracks of this checkout, in a new ``directory``."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
    return directory


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copy_of_checkout(tmp_path / "checkout")
