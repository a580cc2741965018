"""Where this package runs from: a checkout, a directory of installed packages, or a container image.

An image holds ``image.json`` beside the package, which says what the image is. A script may lie in a checkout whose package
is not the one that runs it: users of an image start their checkout's scripts with the image's Python. That is found when the
package is imported, since a script of another version may end in a traceback before any command of ours begins.
"""

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import lsd_experiments
from lsd_experiments.errors import UserError

ROOT = Path(__file__).resolve().parent.parent  # holds the package
PROJECT, PACKAGE = "lsd-experiments", "lsd_experiments"


@dataclass(frozen=True)
class Image:
    """What the build of a container image wrote about it."""

    version: str
    commit: str  # 12 digits, with "+" if files differed from it; "unknown" where there was no checkout
    built: str  # date, ISO 8601
    variant: str  # cpu or gpu
    packages: str  # SHA-256 of the sorted lines "name==version"
    base: str  # the image that it was built from

    def __str__(self) -> str:
        return f"the image (commit {self.commit})"


@dataclass(frozen=True)
class Checkout:
    """A directory of this software's sources."""

    directory: Path
    version: str


def image(root: Path = ROOT) -> Image | None:
    """The image whose package is in ``root``; None outside of an image."""
    return _own_image() if root == ROOT else _read_image(root)


@cache
def _own_image() -> Image | None:
    return _read_image(ROOT)


def _read_image(root: Path) -> Image | None:
    import json

    path = root / "image.json"
    try:
        return Image(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is not as the build of an image writes it ({error}). Build the image again") from None


def check_main() -> None:
    """Check the script that this process runs, if it runs one; ``python -m`` and what pip installs are none.

    A script of another version ends the process with one line and status 2.
    """
    main = sys.modules["__main__"]
    script = getattr(main, "__file__", None)  # none in children of multiprocessing that are not forked, either
    if script is None or main.__spec__ is not None or not script.endswith(".py"):
        return
    try:
        check_script(Path(script))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def check_script(script: Path) -> None:
    """Refuse a script of a checkout of another version than this package; warn where their sources differ.

    A script outside of any checkout may be anyone's: nothing is said of it.
    """
    checkout = find_checkout(script.resolve())
    if checkout is None or checkout.directory == ROOT:
        return
    here, there = image(), checkout.directory
    runs = f"{here} in {ROOT}" if here else f"the package in {ROOT}"
    if checkout.version != lsd_experiments.__version__:
        remedy = f"Install that checkout: ./setup.sh install in {there}"
        if here:
            remedy = f"Build the image again, ./setup.sh container in {there}, or use the scripts in {ROOT}"
        raise UserError(f"{script} is of version {checkout.version}, but {runs} is {lsd_experiments.__version__}. {remedy}")
    if digest(there / PACKAGE) != digest(ROOT / PACKAGE):
        remedy = f"--env PYTHONPATH={there}" if here else f"PYTHONPATH={there}, or ./setup.sh install there"
        print(f"warning: what runs is {runs}, not the changed sources of {there / PACKAGE}. To run those: {remedy}",
              file=sys.stderr)


def find_checkout(path: Path) -> Checkout | None:
    """The checkout of this software that ``path`` lies in; without a look at its version if it is ROOT."""
    for directory in path.parents:
        if directory == ROOT:
            return Checkout(ROOT, lsd_experiments.__version__)
        version = _version(directory / "pyproject.toml")
        if version and (directory / PACKAGE).is_dir():
            return Checkout(directory, version)
    return None


def _version(pyproject: Path) -> str | None:
    """The version in a pyproject.toml of this software; None for any other file."""
    try:
        text = pyproject.read_text()
    except (OSError, ValueError):
        return None
    import tomllib

    try:
        project = tomllib.loads(text)["project"]
        return str(project["version"]) if project["name"] == PROJECT else None
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        return None


def digest(package: Path) -> str:
    """The SHA-256 of the Python sources below ``package``: their paths and what they hold."""
    import hashlib

    sources = hashlib.sha256()
    for name, path in sorted((path.relative_to(package).as_posix(), path) for path in package.rglob("*.py")):
        try:
            source = path.read_bytes()
        except OSError:  # like the lock of an editor: a link to nowhere
            continue
        sources.update(f"{name}\0{len(source)}\0".encode() + source)
    return sources.hexdigest()
