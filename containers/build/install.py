"""What is installed in an image, run by its Python while it is built: ``install.py dependencies|all --variant cpu|gpu``.

The dependencies go to ``/opt/venv``, in the versions of ``constraints.txt`` and no other: what that file does not name stops the
build. With ``all``, the code is put beside them, in ``/opt/lsd-experiments``, with ``image.json`` that says what the image is;
dependencies that are there already, in an image made of the same lists, are not installed again.
"""

import argparse
import datetime
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

if not (3, 11) <= sys.version_info[:2] < (3, 14):  # before anything that an older one does not know
    sys.exit(f"error: the base image has Python {sys.version.split()[0]}; name one with Python 3.11, 3.12 or 3.13")

ROOT = Path("/opt/lsd-experiments")
VENV = Path("/opt/venv")
TEMPORARY = Path("/opt/tmp")
STAMP = VENV / "dependencies.json"  # what was installed, from which lists
TOOLS = ("pip", "setuptools", "wheel")


def main() -> None:
    """Install what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("dependencies", "all"))
    parser.add_argument("--variant", choices=("cpu", "gpu"), required=True, help="TensorFlow without or with CUDA")
    parser.add_argument("--base", default="unknown", help="the image that this one is built on")
    parser.add_argument("--name", default="-", help="what to call it in image.json (default: the same)")
    options = parser.parse_args()
    import tomllib

    os.umask(0o022)  # for all users of the image
    TEMPORARY.mkdir(exist_ok=True)  # /tmp may be the host's
    os.environ["TMPDIR"] = str(TEMPORARY)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = requirements(project, options.variant)
    lists = digest([*wanted, (ROOT / "constraints.txt").read_text()])
    if not STAMP.exists() or json.loads(STAMP.read_text())["lists"] != lists:
        install(wanted)
        STAMP.write_text(json.dumps({"lists": lists, "base": options.base if options.name == "-" else options.name}))
    if options.part == "all":
        put_code(project["version"], options.variant, json.loads(STAMP.read_text())["base"])
    clean()


def requirements(project: dict, variant: str) -> list[str]:
    """What the package needs, with the TensorFlow of ``variant``."""
    needed = [line for line in project["dependencies"] if variant == "cpu" or not line.startswith("tensorflow")]
    return needed if variant == "cpu" else needed + project["optional-dependencies"]["gpu"]


def install(wanted: list[str]) -> None:
    """Make ``VENV`` with these requirements."""
    say("making /opt/venv")
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    except subprocess.CalledProcessError:
        fail("the base image's Python has no venv module (on Debian: python3-venv). Name another base")
    pip("install", "--upgrade", *TOOLS)
    say("installing the dependencies")
    pip("install", *wanted)
    run("-m", "pip", "check")
    differing = unlocked(installed(), (ROOT / "constraints.txt").read_text())
    if differing:
        fail(f"constraints.txt does not say these versions: {', '.join(differing)}. Run ./setup.sh lock")


def pip(*arguments: str) -> None:
    """Run the pip of ``VENV``, which keeps to constraints.txt and leaves no cache behind."""
    command = [VENV / "bin/python", "-m", "pip", *arguments, "--constraint", ROOT / "constraints.txt",
               "--no-cache-dir", "--progress-bar", "off", "--disable-pip-version-check", "--root-user-action", "ignore"]
    if subprocess.run(command).returncode:
        fail("pip could not install the dependencies: its words are above")


def installed() -> list[str]:
    """``name==version`` of all that is in ``VENV``, sorted."""
    command = [VENV / "bin/python", "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return sorted(f"{canonical(package['name'])}=={package['version']}" for package in found)


def unlocked(found: list[str], constraints: str) -> list[str]:
    """Those of ``found`` that ``constraints`` does not name in this version; a build's name (+cpu) does not count."""
    lines = [line for line in constraints.splitlines() if line and not line.startswith("#")]
    locked = {f"{canonical(name)}=={version}" for name, version in (line.split("==") for line in lines)}
    return [line for line in found if line.split("+")[0] not in locked]


def canonical(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def put_code(version: str, variant: str, base: str) -> None:
    """Let ``VENV`` find the package in ``ROOT``, and write what the image is."""
    say("putting the code in its place")
    (site,) = VENV.glob("lib/python3*/site-packages")
    (site / "lsd_experiments.pth").write_text(f"{ROOT}\n")
    made = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    for path in (ROOT / "lsd_experiments").rglob("*.py"):  # to seconds, as an image keeps it: numba notes it
        os.utime(path, (made.timestamp(), made.timestamp()))
    run("-m", "compileall", "-q", ROOT / "lsd_experiments")
    packages = installed()
    (ROOT / "packages.txt").write_text("".join(f"{line}\n" for line in packages))
    commit = ROOT / "commit"
    about = {"version": version, "commit": commit.read_text().strip() if commit.exists() else "unknown",
             "built": made.isoformat(), "variant": variant, "packages": digest(packages), "base": base}
    commit.unlink(missing_ok=True)
    (ROOT / "image.json").write_text(json.dumps(about, indent=2) + "\n")
    (ROOT / "build-number").write_text(f"{made.timestamp():.0f}\n")
    (ROOT / "labels").write_text("".join(f"{name} {value}\n" for name, value in labels(about).items()))
    say("compiling, by a first self-test")
    run("-P", "-m", "lsd_experiments.selftest", NUMBA_CACHE_DIR=ROOT / "compiled", KERAS_HOME=TEMPORARY / "keras")


def run(*arguments: str | Path, **environment: str | Path) -> None:
    """Run the Python of ``VENV``."""
    if subprocess.run([VENV / "bin/python", *arguments], env={**os.environ, **environment}).returncode:
        fail(f"python {' '.join(map(str, arguments))}: its words are above")


def labels(about: dict[str, str]) -> dict[str, str]:
    """The image's labels; the first three have the names of the Open Container Initiative."""
    image = "org.opencontainers.image"
    return {f"{image}.version": about["version"], f"{image}.revision": about["commit"], f"{image}.created": about["built"],
            "lsd-experiments.variant": about["variant"], "lsd-experiments.packages": f"sha256:{about['packages']}"}


def clean() -> None:
    """Remove what building left behind, also that of the base."""
    for cache in (TEMPORARY, "/root/.cache", "/root/.keras", "/var/lib/apt/lists"):
        shutil.rmtree(cache, ignore_errors=True)
    for package in Path("/var/cache/apt/archives").glob("*.deb"):
        package.unlink()


def digest(lines: list[str]) -> str:
    """SHA-256 of these lines, as 64 hexadecimal digits."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def say(text: str) -> None:
    """One line of progress."""
    print(f"==> {text}", flush=True)


def fail(text: str) -> None:
    """End with one line."""
    sys.exit(f"error: {text}")


if __name__ == "__main__":
    main()
