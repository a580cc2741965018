"""./setup.sh container up to where Apptainer would build, with a program in its place; and what the images are made of.

The image itself is tested in tests/container.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ("awk", "basename", "bash", "cat", "cut", "cp", "df", "dirname", "echo", "find", "grep", "id", "mkdir", "mv", "rm",
         "sha256sum", "sleep", "sort", "stat", "tail", "tee", "touch")
KNOWS = """case "$*" in
    *--help*) echo "--build-arg strings --mksquashfs-args string"; exit ;;
    --version) echo apptainer version 1.4.5; exit ;;
esac"""
NOTES = f"""{KNOWS}
echo "$@" >> asked
for word in "$@"; do case $word in *.partial) echo image > "$word";; esac; done
echo "INFO:    Starting build"
"""

END = "echo 'FATAL:   While performing build: while running engine: exit status 1' >&2; exit 255"  # Apptainer's, in any case


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "containers/build", tmp_path / "clone/containers/build")
    for name in ("setup.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / "clone" / name)
    return tmp_path / "clone"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ``PATH`` with the tools that the script uses, without Apptainer."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, f"this machine has no {name}"
        (tools / name).symlink_to(found)
    return tools


def program(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!{shutil.which('bash')}\n{text}\n")
    path.chmod(0o755)


def container(clone: Path, path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "./setup.sh", "container", *arguments], cwd=clone, timeout=60, stdin=subprocess.DEVNULL,
                          env={"PATH": str(path), "HOME": "/nonexistent"} | variables, capture_output=True, text=True)


def refused(result: subprocess.CompletedProcess[str], status: int = 2) -> str:
    """The one line of an error."""
    lines = result.stderr.splitlines()
    assert (result.returncode, len(lines)) == (status, 1), result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(("arguments", "message"), [
    (("--gpu",), "container does not know '--gpu'"),
    (("--base",), "--base needs a value"),
    (("--base", "./no.sif"), "--base ./no.sif: not there"),
    (("--base", "localimage://nope.sif"), "--base nope.sif: not there"),
    (("--output", "nowhere/lsd.img"), "nowhere: no directory that can be written"),
    (("--output", "containers"), "--output containers: a directory"),
    (("--output", "--cpu"), "--output needs a value"),
])
def test_a_mistake_is_one_line(clone: Path, path: Path, arguments: tuple[str, ...], message: str) -> None:
    program(path / "apptainer", NOTES)
    assert message in refused(container(clone, path, *arguments))
    assert not (clone / "asked").exists()


def test_no_apptainer_an_old_one_and_one_that_does_not_run(clone: Path, path: Path) -> None:
    assert "neither apptainer nor singularity is on the PATH" in refused(container(clone, path))
    program(path / "singularity", "echo 'apptainer version 1.2.5 --build-arg'")
    assert "knows no --mksquashfs-args: install Apptainer 1.4" in refused(container(clone, path))
    program(path / "singularity", "echo 'cannot execute' >&2; exit 1")
    assert "singularity does not run: cannot execute" in refused(container(clone, path))


def test_too_little_room(clone: Path, path: Path, tmp_path: Path) -> None:
    program(path / "apptainer", NOTES)
    program(path / "df", "echo Filesystem; echo 'disk 9 9 7500000 1% /'")
    line = refused(container(clone, path, "--cpu", APPTAINER_TMPDIR=str(tmp_path)))
    assert f"{tmp_path} has 7 GB free, building takes 8 GB there" in line
    program(path / "df", "echo Filesystem; echo 'disk 9 9 9500000 1% /'")
    assert container(clone, path, "--cpu").returncode == 0
    assert "building takes 30 GB there" in refused(container(clone, path))


@pytest.mark.parametrize(("words", "message"), [
    ("FATAL: write /tmp/x: no space left on device", "no room left on the disk while building"),
    ("FATAL: dial tcp: lookup registry-1.docker.io: no such host", "no network, or a registry that does not answer"),
    ("WARNING: Retrying after NewConnectionError\nerror: pip could not install", "no network, or a registry that does not"),
    ("FATAL: could not use fakeroot: no user namespace mapping: /etc/subuid", "Apptainer gets no user namespace"),
])
def test_a_build_that_fails_for_the_machines_sake(clone: Path, path: Path, words: str, message: str) -> None:
    program(path / "apptainer", f'{KNOWS}\ntouch "${{@: -2:1}}"\necho "{words}" >&2\n{END}')
    (clone / "lsd.img").write_text("the one before")
    assert message in refused(container(clone, path, "--cpu"))
    assert sorted(file.name for file in clone.rglob("*.partial")) == []
    assert (clone / "lsd.img").read_text() == "the one before"
    assert words in (clone / "containers/build-cpu.log").read_text()


def test_a_build_that_does_not_say_why(clone: Path, path: Path) -> None:
    program(path / "apptainer", f"{KNOWS}\necho 'unknown flag'\nexit 3")
    assert "could not be built: its last words are in the log" in refused(container(clone, path, "--cpu"), status=1)


@pytest.mark.parametrize(("signal_number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_ends_what_it_started(clone: Path, path: Path, signal_number: int, status: int) -> None:
    program(path / "apptainer", f'{KNOWS}\ntouch "${{@: -2:1}}"\necho $$ > pid\nsleep 60\necho late > lsd.img')
    build = subprocess.Popen(["bash", "./setup.sh", "container", "--cpu"], cwd=clone, stdin=subprocess.DEVNULL, text=True,
                             env={"PATH": str(path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    pid = clone / "pid"
    for _ in range(200):
        if pid.exists() and pid.read_text().strip():
            break
        time.sleep(0.05)
    build.send_signal(signal_number)
    said = build.communicate(timeout=30)[1]
    assert (build.returncode, said) == (status, "interrupted\n")
    assert not Path("/proc", pid.read_text().strip()).exists()
    assert not list(clone.rglob("*.partial"))


def test_a_build_that_fails_for_ours(clone: Path, path: Path) -> None:
    words = "INFO: User not listed in /etc/subuid\nWARNING: Retrying\nerror: constraints.txt does not say x==1"
    program(path / "apptainer", f"{KNOWS}\necho '{words}'\n{END}")
    result = container(clone, path, "--cpu")
    assert "could not be built: constraints.txt does not say x==1" in refused(result, status=1)
    assert "error" not in result.stdout


def test_dependencies_are_built_once_for_each_list_and_base(clone: Path, path: Path, tmp_path: Path) -> None:
    program(path / "apptainer", NOTES)
    base = tmp_path / "base.sif"
    base.write_text("1")

    def parts() -> list[str]:
        (clone / "asked").unlink(missing_ok=True)
        result = container(clone, path, "--cpu", "--base", str(base))
        assert result.returncode == 0, result.stderr
        asked = (clone / "asked").read_text().splitlines()
        assert "bootstrap=localimage" in asked[-1]
        assert "base=containers/dependencies-cpu-" in asked[-1]
        return ["dependencies" if "part=dependencies" in line else "code" for line in asked]

    assert parts() == ["dependencies", "code"]
    assert (clone / "lsd.img").read_text() == "image\n"
    assert parts() == ["code"]
    base.write_text("2")
    assert parts() == ["dependencies", "code"]
    base.unlink()
    base.mkdir()
    (base / "bin").mkdir()
    assert parts() == ["dependencies", "code"]
    (base / "bin/sh").touch()
    assert parts() == ["dependencies", "code"]
    with (clone / "constraints.txt").open("a") as file:
        file.write("new==1\n")
    assert parts() == ["dependencies", "code"]
    assert len(list(clone.glob("containers/dependencies-*"))) == 1, "the one before is removed"


@pytest.mark.parametrize(("base", "bootstrap", "name"), [
    ("docker://quay.io/a/python:3.12", "docker", "quay.io/a/python:3.12"),
    ("quay.io/a/python:3.12", "docker", "quay.io/a/python:3.12"),
    ("oras://host/base:1", "oras", "host/base:1"),
])
def test_a_base_of_a_registry(clone: Path, path: Path, base: str, bootstrap: str, name: str) -> None:
    program(path / "apptainer", NOTES)
    assert container(clone, path, "--cpu", "--base", base).returncode == 0
    first = (clone / "asked").read_text().splitlines()[0]
    assert f"--build-arg bootstrap={bootstrap} --build-arg base={name} " in first


@pytest.fixture(scope="module")
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", ROOT / "containers/build/install.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_package_that_the_lock_does_not_say_is_found(install: ModuleType) -> None:
    lock = "# a comment\nA_b.c==1.0\nother==2\n"
    assert install.unlocked(["a-b-c==1.0", "other==2"], lock) == []
    assert install.unlocked(["a-b-c==1.0+cpu"], lock) == []
    assert install.unlocked(["a-b-c==1.1", "new==3", "other==2"], lock) == ["a-b-c==1.1", "new==3"]


def test_each_variant_has_one_tensorflow(install: ModuleType) -> None:
    project = {"dependencies": ["numpy>=1", "tensorflow-cpu>=2; x", "tensorflow>=2; y"],
               "optional-dependencies": {"gpu": ["tensorflow[and-cuda]>=2"]}}
    assert install.requirements(project, "cpu") == project["dependencies"]
    assert install.requirements(project, "gpu") == ["numpy>=1", "tensorflow[and-cuda]>=2"]


@pytest.mark.parametrize("part", ["dependencies", "all"])
def test_what_git_tracks_goes_in_and_nothing_else(part: str, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    (clone / "01_data/volume.zarr").mkdir()
    (clone / "01_data/volume.zarr/0").touch()
    (clone / "lsd_experiments/untracked.py").touch()
    (clone / "01_data/view_data.py").unlink()
    script = ROOT / "containers/build/context.sh"
    (clone / "pyproject.toml").chmod(0o600)
    done = subprocess.run(["bash", script, part, tmp_path / "root"], cwd=clone, capture_output=True, text=True, umask=0o077)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "root/opt/lsd-experiments"
    files = {str(file.relative_to(made)) for file in made.rglob("*") if file.is_file()}
    assert all(file.stat().st_mode & 0o755 in (0o755, 0o644) for file in made.rglob("*")), "all users of the image may read it"
    assert {"pyproject.toml", "constraints.txt", "containers/build/install.py", "commit"} <= files
    assert ("02_train/zebrafinch/mtlsd/mknet.py" in files) == (part == "all")
    assert not {"01_data/volume.zarr/0", "lsd_experiments/untracked.py", "01_data/view_data.py"} & files
    assert re.fullmatch(r"[0-9a-f]{12}\+\n", (made / "commit").read_text())


def test_outside_of_a_repository_there_is_nothing_to_take(tmp_path: Path) -> None:
    script = ROOT / "containers/build/context.sh"
    done = subprocess.run(["bash", script, "all", tmp_path / "root"], cwd=tmp_path, capture_output=True, text=True,
                          env=os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "git says of" in done.stderr
    assert "not a git repository" in done.stderr


def test_docker_gets_what_apptainer_gets() -> None:
    """What .dockerignore lets through is what context.sh copies, down to the files that git tracks."""
    script = (ROOT / "containers/build/context.sh").read_text()
    listed = set(re.search(r"FILES=\((.*?)\)", script)[1].split()) | set(re.search(r"FILES\+=\((.*?)\)", script)[1].split())
    ignore = (ROOT / "containers/Dockerfile.dockerignore").read_text()
    passed = {line[1:].split("/")[0] for line in ignore.splitlines() if line.startswith("!")}
    assert passed == {name.split("/")[0] for name in listed}
    patterns = [line[1:].replace("/**/", "/**") for line in ignore.splitlines() if line.startswith("!")]
    tracked = subprocess.run(["git", "ls-files", *listed], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert not [name for name in tracked if not any(fnmatch(name, pattern) for pattern in patterns)]
