"""What is in an image, how it may be started, and that it is what it says."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.container.conftest import ROOT, Run
from tests.disks import small_disk

pytestmark = pytest.mark.container

COMPUTE = """
import keras, matplotlib.pyplot
import numpy as np
from lsd_experiments.evaluation.kernels import slot
from lsd_experiments.synthetic import synthesize
assert synthesize((8, 24, 24), (20, 9, 9)).labels.any()
"""
WHO = "import lsd_experiments, sys; print(lsd_experiments.__file__, sys.executable)"


def inspect(image: Path, *options: str) -> str:
    return subprocess.run(["apptainer", "inspect", *options, image], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def made(run: Run) -> dict[str, str]:
    return json.loads(run("cat", "/opt/lsd-experiments/image.json").stdout)


@pytest.mark.parametrize("verb", ["exec", "run"])
@pytest.mark.parametrize("options", [(), ("--nv",), ("--containall",), ("--no-home",), ("--cleanenv",)], ids=" ".join)
def test_exec_and_run_are_alike_whatever_is_bound(run: Run, verb: str, options: tuple[str, ...]) -> None:
    """One published image worked with ``exec`` only, the other with ``run`` only."""
    result = run("python", "-c", WHO, verb=verb, options=options)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "/opt/lsd-experiments/lsd_experiments/__init__.py /opt/venv/bin/python\n"


def test_the_status_of_a_command_is_that_of_the_container(run: Run) -> None:
    assert run("python", "-c", "raise SystemExit(7)", verb="run").returncode == 7


def test_started_alone_it_tests_itself_with_nothing_bound_and_without_root(run: Run, image: Path) -> None:
    """LSD_UNPRIVILEGED: the words that run apptainer as another user where the tests are root's; the image is unpacked then, as
    FUSE may be for root alone."""
    other = shlex.split(os.environ.get("LSD_UNPRIVILEGED", "")) if os.geteuid() == 0 else []
    words = [*other, "run", "--unsquash"] if other else ["apptainer", "run"]
    variables = "PYTHONPATH=/no,PYTHONHOME=/no,KERAS_BACKEND=jax,TMPDIR=/no"  # as the host may have them
    result = subprocess.run([*words, "--containall", "--no-home", "--env", variables, image], cwd=image.parent, timeout=400,
                            stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^self-test passed in \d+ s$", result.stdout, re.MULTILINE), result.stdout
    assert made(run)["commit"] in result.stdout
    assert made(run)["packages"] in result.stdout
    assert "GPU: " in result.stdout


def test_the_build_runs_the_same_self_test(image: Path) -> None:
    assert "exec /opt/lsd-experiments/containers/build/run.sh" in inspect(image, "--test")
    assert "exec /opt/lsd-experiments/containers/build/run.sh" in inspect(image, "--runscript")


def test_labels_say_version_commit_and_date(run: Run, image: Path) -> None:
    labels = json.loads(inspect(image, "--json"))["data"]["attributes"]["labels"]
    said = made(run)
    assert labels["org.opencontainers.image.version"] == said["version"]
    assert labels["org.opencontainers.image.revision"] == said["commit"]
    assert labels["org.opencontainers.image.created"] == said["built"]
    assert labels["lsd-experiments.packages"] == f"sha256:{said['packages']}"
    assert said["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.fullmatch(r"[0-9a-f]{12}\+?", said["commit"])


def test_help_is_the_quick_start_of_the_readme(image: Path) -> None:
    help_text = inspect(image, "--helpfile").strip()
    section = (ROOT / "README.md").read_text().partition("<!-- quick start in a container -->")[2]
    section = section.partition("<!-- end of quick start -->")[0]
    assert "singularity exec" in help_text
    lines = [line.strip() for line in section.splitlines() if line.strip() and not line.startswith("```")]
    assert [line.strip() for line in help_text.splitlines() if line.strip()] == lines


def test_all_packages_are_those_of_the_lock_and_have_its_digest(run: Run) -> None:
    listed = run("cat", "/opt/lsd-experiments/packages.txt").stdout
    locked = {line.partition("==")[::2] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    locked = {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in locked}
    found = {line.partition("==")[::2] for line in listed.splitlines()}
    assert len(found) > 50
    assert found <= locked
    assert hashlib.sha256(listed.encode()).hexdigest() == made(run)["packages"]
    now = run("python", "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check").stdout
    assert {re.sub(r"[-_.]+", "-", line).lower() for line in now.splitlines()} == {re.sub(r"[-_.]+", "-", line).lower()
                                                                                    for line in listed.splitlines()}


def test_no_compiler_and_no_cache_is_left_inside(run: Run) -> None:
    compilers = run("sh", "-c", "for c in cc gcc g++ c++ clang make cmake nvcc; do command -v $c; done; true").stdout
    assert compilers == ""
    places = ("/root", "/home", "/var/cache/apt/archives", "/var/lib/apt/lists", "/var/tmp")
    caches = run("sh", "-c", f"find {' '.join(places)} -type f -size +0 -not -name '.*rc' -not -name .profile 2> /dev/null; true",
                 options=["--containall", "--no-home"])
    assert (caches.stdout, caches.returncode) == ("", 0), caches.stderr


def test_the_image_is_small_and_cannot_be_written(run: Run, image: Path) -> None:
    if made(run)["variant"] == "cpu":
        assert image.stat().st_size <= 1.2e9
    refused = run("touch", "/opt/lsd-experiments/x")
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stderr


def test_scripts_of_another_version_are_refused_in_one_line(run: Run, checkout: Path) -> None:
    project = checkout / "pyproject.toml"
    setup = checkout / "02_train/zebrafinch/mtlsd"
    bound = {"options": ["--bind", checkout], "cwd": setup}
    assert run("python", "mknet.py", **bound).returncode == 0
    project.write_text(re.sub(r'^version = ".*"', 'version = "9.9.9"', project.read_text(), flags=re.MULTILINE))
    (setup / "config.json").unlink()
    result = run("python", "mknet.py", **bound)
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("INFO:", "WARNING:"))]
    assert (result.returncode, len(lines)) == (2, 1), result.stderr
    assert "9.9.9" in lines[0]
    assert "./setup.sh container" in lines[0]
    assert not (setup / "config.json").exists()


def test_the_home_directory_is_not_written(run: Run, tmp_path: Path) -> None:
    """A home that can be written stays empty; what is compiled goes to the user's own directory in /tmp, or where --env says."""
    home, temporary, named = tmp_path / "home", tmp_path / "tmp", tmp_path / "named"
    for directory in (home, temporary, named):
        directory.mkdir()
    bound = ["--home", home, "--bind", f"{temporary}:/tmp", "--bind", f"{named}:/named"]
    for more in ((), ("--env", "NUMBA_CACHE_DIR=/named")):
        result = run("python", "-c", COMPUTE, options=[*bound, *more], cwd=home)
        assert result.returncode == 0, result.stderr
        assert bool(list(named.rglob("*.nbi"))) == bool(more)
    assert not list(home.rglob("*"))
    (kept,) = temporary.glob("lsd-experiments-*")
    assert list(kept.glob("numba-*/**/*.nbi"))
    assert kept.stat().st_mode & 0o077 == 0


def test_what_another_user_may_have_made_is_not_used(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"lsd-experiments-{os.geteuid()}").symlink_to("elsewhere")
    result = run("sh", "-c", "echo $NUMBA_CACHE_DIR", options=["--bind", f"{tmp_path}:/tmp"])
    assert result.stdout == "/nonexistent\n"
    assert result.stderr.count("warning: /tmp/lsd-experiments-") == 1
    result = run("python", "-c", COMPUTE, options=["--bind", f"{tmp_path}:/tmp"])
    assert result.returncode == 0, result.stderr
    assert not list((tmp_path / "elsewhere").iterdir())


def test_containers_that_start_together_keep_whole_functions(run: Run, image: Path, tmp_path: Path) -> None:
    """All are number 1 in their own namespace of processes, and have one /tmp."""
    options = ["--containall", "--bind", f"{tmp_path}:/tmp"]
    command = ["singularity", "exec", *options, str(image), "true"]
    started = [subprocess.Popen(command, cwd=image.parent, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    (kept,) = tmp_path.glob("lsd-experiments-*")
    (numba,) = kept.iterdir()
    listing = "; ".join(f"cd {directory} && find . -type f | sort"
                        for directory in ("/opt/lsd-experiments/compiled", f"/tmp/{kept.name}/{numba.name}"))
    files = run("sh", "-c", listing, options=options).stdout.splitlines()
    assert len(files) > 20
    assert files[: len(files) // 2] == files[len(files) // 2 :]


def test_no_room_for_what_is_kept(run: Run, tmp_path: Path) -> None:
    """Nothing is half there afterwards."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a small disk")
    with small_disk(tmp_path / "disk", "1m") as disk:
        options = ["--containall", "--bind", f"{disk}:/tmp"]
        assert run("true", options=options).returncode == 0
        assert not list(disk.glob("lsd-experiments-*/numba-*"))
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        result = run("python", "-c", COMPUTE, options=options)
        assert result.returncode == 0, result.stderr
