"""What is installed: this software, the image that it is in, Python, and the packages that results may depend on."""

import sys

import lsd_experiments
from lsd_experiments import provenance
from lsd_experiments.installation import Image, image


def about() -> str:
    """The lines that name the installation."""
    here, (python, packages) = image(), _versions()
    commit = here.commit if here else provenance.commit() or "unknown"
    lines = [f"lsd-experiments {lsd_experiments.__version__}, commit {commit}", *(image_lines(here) if here else [])]
    return "\n".join([*lines, f"Python {python} ({sys.executable})", packages])


def image_lines(here: Image) -> list[str]:
    """What an image says of itself; equal digests of the package list mean equal versions of all packages."""
    return [f"image {here.version}, {here.variant}, built {here.built} from {here.base}",
            f"image's packages: sha256 {here.packages}"]


def _versions() -> tuple[str, str]:
    """Of Python, and of the packages, in one line."""
    found = dict(provenance.versions())
    return found.pop("python"), ", ".join(f"{name} {version}" for name, version in found.items())
