"""A script of one checkout, run with the package of another place."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

import lsd_experiments
from lsd_experiments.errors import UserError
from lsd_experiments.installation import ROOT, Image, digest, find_checkout, image

VERSION = lsd_experiments.__version__
IMAGE = Image(VERSION, "0123456789ab+", "2024-05-06T07:08:09+00:00", "cpu", "5" * 64, "python:3.11-slim")
MKNET = ROOT / "02_train" / "zebrafinch" / "mtlsd" / "mknet.py"
# Scripts: one that needs what only its own package has, one that shows which package it got, one whose children import it anew.
NEW = "from lsd_experiments.networks import what_is_new\n"
SHOW = "import lsd_experiments; print(lsd_experiments.__file__)"
CHILDREN = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import lsd_experiments
if __name__ == "__main__":
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        print(sum(pool.map(abs, range(4))))
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of the sources, which nobody changes."""
    directory = tmp_path_factory.mktemp("sources")
    shutil.copytree(ROOT / "lsd_experiments", directory / "lsd_experiments", ignore=shutil.ignore_patterns("__pycache__"))
    return directory / "lsd_experiments"


@pytest.fixture
def checkout(tmp_path, sources):
    """A checkout with one script; the package that runs it is another."""
    directory = tmp_path / "checkout"
    setup = directory / "02_train" / "mtlsd"
    setup.mkdir(parents=True)
    shutil.copy(MKNET, setup)
    shutil.copy(ROOT / "pyproject.toml", directory)
    shutil.copytree(sources, directory / "lsd_experiments")
    return directory


@pytest.fixture
def installed(tmp_path, sources):
    """Where an image has the package."""
    shutil.copytree(sources, tmp_path / "opt" / "lsd_experiments")
    (tmp_path / "opt" / "image.json").write_text(json.dumps(asdict(IMAGE)))
    return tmp_path / "opt"


def make_version(checkout, version):
    text = (checkout / "pyproject.toml").read_text()
    (checkout / "pyproject.toml").write_text(text.replace(f'\nversion = "{VERSION}"\n', f'\nversion = "{version}"\n'))


def change(checkout):
    with (checkout / "lsd_experiments" / "networks" / "drawing.py").open("a") as file:
        file.write("# changed\n")


def run(checkout, *command, package=ROOT, script="02_train/mtlsd/mknet.py"):
    directory = (checkout / script).parent
    environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *(command or (Path(script).name,))], cwd=directory, env=environment,
                          capture_output=True, text=True, timeout=120)


def made(checkout):
    return (checkout / "02_train" / "mtlsd" / "train_net.json").exists()


def test_a_script_of_another_version_is_refused(checkout):
    make_version(checkout, "9.1.0")
    ended = run(checkout)
    script = checkout / "02_train" / "mtlsd" / "mknet.py"
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (f"error: {script} is of version 9.1.0, but the package in {ROOT} is {VERSION}. "
                            f"Install that checkout: ./setup.sh install in {checkout}\n")
    assert not made(checkout)
    assert run(checkout, package=checkout).returncode == 0  # its own package is not asked which version it has
    assert made(checkout)


def test_a_script_of_another_version_than_the_image_is_refused(checkout, installed):
    make_version(checkout, "9.1.0")
    ended = run(checkout, package=installed)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert f"the image (commit 0123456789ab+) in {installed} is {VERSION}" in ended.stderr
    assert f"./setup.sh container in {checkout}, or use the scripts in {installed}" in ended.stderr


def test_a_script_that_needs_what_the_package_lacks_is_refused_in_one_line(checkout):
    (checkout / "02_train" / "train.py").write_text(NEW)
    make_version(checkout, "9.1.0")
    ended = run(checkout, script="02_train/train.py")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    (checkout / "pyproject.toml").unlink()  # then it is anyone's script
    assert "ImportError" in run(checkout, script="02_train/train.py").stderr


def test_sources_that_differ_are_told_and_the_command_works(checkout):
    assert run(checkout).stderr == ""
    change(checkout)
    ended = run(checkout)
    assert ended.returncode == 0
    assert made(checkout)
    assert ended.stderr == (f"warning: what runs is the package in {ROOT}, not the changed sources of "
                            f"{checkout}/lsd_experiments. To run those: PYTHONPATH={checkout}, or ./setup.sh install there\n")
    assert run(checkout, package=checkout).stderr == ""


def test_sources_that_differ_from_the_images(checkout, installed):
    assert run(checkout, package=installed).stderr == ""
    change(installed)
    ended = run(checkout, package=installed)
    assert ended.returncode == 0
    assert ended.stderr.startswith(f"warning: what runs is the image (commit 0123456789ab+) in {installed}, not ")
    assert ended.stderr.endswith(f"To run those: --env PYTHONPATH={checkout}\n")


@pytest.mark.parametrize("project", [None, "[project", "project = 1", '[project]\nname = "other"\nversion = "9"',
                                     '[project]\nname = "lsd-experiments"', b"\xff\xfe"])
def test_what_is_no_checkout(checkout, project):
    """A script there is anyone's."""
    make_version(checkout, "9.1.0")
    if project is None:
        shutil.rmtree(checkout / "lsd_experiments")
    else:
        (checkout / "pyproject.toml").write_bytes(project if isinstance(project, bytes) else project.encode())
    ended = run(checkout)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_children_say_nothing(checkout):
    change(checkout)
    (checkout / "02_train" / "children.py").write_text(CHILDREN)
    ended = run(checkout, script="02_train/children.py")
    assert (ended.returncode, ended.stdout) == (0, "6\n")
    assert ended.stderr.count("warning") == 1


def test_modules_and_pytest_are_not_scripts(checkout):
    make_version(checkout, "9.1.0")
    (checkout / "02_train" / "test_it.py").write_text(f"def test_it():\n    {SHOW}\n")
    pytest_script = checkout / "bin" / "pytest"  # as pip writes it into .venv/bin, below the checkout
    pytest_script.parent.mkdir()
    pytest_script.write_text("import pytest\nraise SystemExit(pytest.main())\n")
    (checkout / "02_train" / "tool.py").write_text(SHOW)
    for command in (["-m", "pytest", "-s", "test_it.py"], [str(pytest_script), "-s", "test_it.py"], ["-m", "tool"]):
        ended = run(checkout, *command, script="02_train/tool.py")
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
        assert f"{ROOT}/lsd_experiments/__init__.py" in ended.stdout
    assert run(checkout, script="02_train/tool.py").returncode == 2


def test_a_link_to_a_script_lies_where_the_script_does(checkout, tmp_path):
    make_version(checkout, "9.1.0")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mknet.py").symlink_to(checkout / "02_train" / "mtlsd" / "mknet.py")
    assert run(tmp_path, script="mine/mknet.py").returncode == 2


def test_the_nearest_checkout_counts(checkout):
    inner = checkout / "02_train" / "inner"
    (inner / "lsd_experiments").mkdir(parents=True)
    (inner / "pyproject.toml").write_text('[project]\nname = "lsd-experiments"\nversion = "9.2.0"\n')
    assert find_checkout(inner / "train.py").version == "9.2.0"
    assert find_checkout(inner.parent / "train.py").directory == checkout
    assert find_checkout(MKNET).directory == ROOT
    assert find_checkout(checkout.parent / "train.py") is None


def test_this_checkout_says_its_version():
    """What is refused compares the two."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_the_digest_is_of_sources_alone(sources, tmp_path):
    package = tmp_path / "lsd_experiments"
    shutil.copytree(sources, package)
    before = digest(package)
    assert before == digest(sources)
    (package / "notes.txt").write_text("")
    (package / ".#cli.py").symlink_to("someone@there.1234")  # the lock of an editor
    assert digest(package) == before
    (package / "cli.py").rename(package / "commands.py")
    assert digest(package) != before


def test_the_image_says_what_it_is(installed, tmp_path):
    assert image(installed) == IMAGE
    assert image(tmp_path) is None
    (installed / "image.json").write_text('{"version": "1"}')
    with pytest.raises(UserError, match=r"image\.json is not as the build"):
        image(installed)


def test_an_output_of_an_image_has_its_commit(installed):
    code = "from lsd_experiments.provenance import commit; print(commit())"
    assert run(installed, "-c", code, package=installed, script="image.json").stdout == "0123456789ab+\n"
    (installed / "image.json").unlink()
    assert run(installed, "-c", code, package=installed, script="image.json").stdout == "None\n"
