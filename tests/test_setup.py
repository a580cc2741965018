"""setup.sh, run as a user runs it, up to the point where it would download."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = ("setup.sh", "pyproject.toml", "constraints.txt")
TOOLS = ("bash", "cat", "cksum", "cp", "dirname", "echo", "grep", "mkdir", "mv", "rm", "sort", "tail", "tr", "xargs")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A directory with what setup.sh reads, and no ``.venv``."""
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``PATH`` with the tools that setup.sh uses, and no Python."""
    tools = tmp_path_factory.mktemp("tools")
    for name in TOOLS:
        path = shutil.which(name)
        assert path, f"this machine has no {name}"
        (tools / name).symlink_to(path)
    return tools


def _setup(clone: Path, *arguments: str, path: Path | None = None,
           **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": str(path or os.environ["PATH"]), **variables}
    return subprocess.run(["bash", "./setup.sh", *arguments], cwd=clone, env=environment, timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{shutil.which('bash')}\n{text}\n")
    path.chmod(0o755)


def _python(path: Path, pip_status: int = 0, venv_status: int = 0) -> None:
    """A Python that notes what pip is asked for, and answers with these statuses."""
    _program(path, f"""
case "$*" in
    "-m venv --clear .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    "-m pip install "*) echo "$*" >> asked; echo "ERROR: what pip says"; exit {pip_status} ;;
    "-m pip show "*) exit 0 ;;
    "-m pip uninstall "*) echo "$*" >> asked ;;
    *ensurepip*) exit {venv_status} ;;
    --version) echo Python 3.12.0 ;;
esac""")


def _asked(clone: Path) -> list[str]:
    asked = clone / "asked"
    return asked.read_text().splitlines() if asked.exists() else []


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_help_names_every_command(clone: Path, arguments: tuple[str, ...]) -> None:
    result = _setup(clone, *arguments)
    assert result.returncode == 0
    for command in ("install", "demo", "test", "check", "bench", "lock", "container"):
        assert f"\n  {command} " in result.stdout


@pytest.mark.parametrize(("arguments", "message"), [
    (("tset",), "unknown command 'tset'"),
    (("install", "gpu"), "install takes no arguments, found: gpu"),
    (("check", "--fix"), "check takes no arguments, found: --fix"),
    (("bench", "extracion"), "no benchmark 'extracion'"),
])
def test_a_mistake_is_one_line_and_status_2(clone: Path, arguments: tuple[str, ...], message: str) -> None:
    result = _setup(clone, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in clone.iterdir()) == sorted(FILES)


def test_a_machine_without_python_is_told_so(clone: Path, machine: Path) -> None:
    _program(machine / "python3", "exit 1")  # as an older Python answers the question for its version
    result = _setup(clone, "install", path=machine)
    assert result.returncode == 2
    assert result.stderr == ("error: no Python 3.11, 3.12 or 3.13 found: install one, "
                             "or name it with PYTHON=/path/to/python\n")
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_is_told_so(clone: Path, machine: Path) -> None:
    _python(machine / "python3.12", venv_status=1)
    result = _setup(clone, "install", path=machine)
    assert result.returncode == 2
    assert "python3.12 cannot make virtual environments" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_named_python_is_used_or_refused(clone: Path, machine: Path) -> None:
    _python(machine / "python3.12")
    refused = _setup(clone, "install", path=machine, PYTHON="/no/python")
    assert (refused.returncode, refused.stderr) == (2, "error: PYTHON=/no/python is not a Python 3.11, 3.12 or 3.13\n")
    _python(machine / "a place" / "python")
    (machine / "python3.12").unlink()
    assert _setup(clone, "install", path=machine, PYTHON=str(machine / "a place" / "python")).returncode == 0


@pytest.fixture
def ready(clone: Path, machine: Path) -> Path:
    """A machine with a Python, and no GPU."""
    _python(machine / "python3.12")
    return machine


def test_what_is_installed_is_not_installed_again(clone: Path, ready: Path) -> None:
    first = _setup(clone, "install", path=ready)
    assert first.returncode == 0, first.stderr
    assert len(_asked(clone)) == 1
    assert _asked(clone)[0].endswith("--constraint constraints.txt --editable .")
    assert "installing" not in _setup(clone, "install", path=ready).stdout
    assert len(_asked(clone)) == 1
    (clone / "constraints.txt").write_text("numpy==2.0.0\n")
    _setup(clone, "install", path=ready)
    assert len(_asked(clone)) == 2


def test_extras_stay_once_installed(clone: Path, ready: Path) -> None:
    _setup(clone, "test", path=ready)
    _setup(clone, "install", path=ready)
    _setup(clone, "demo", path=ready)
    assert [line.rpartition(" ")[2] for line in _asked(clone)] == [".[test]"]
    _setup(clone, "check", path=ready)
    assert [line.rpartition(" ")[2] for line in _asked(clone)] == [".[test]", ".[dev,test]"]


def test_an_interrupted_installation_is_taken_up_again(clone: Path, ready: Path) -> None:
    _setup(clone, "install", path=ready)
    (clone / "pyproject.toml").write_text("# new\n")
    _python(clone / ".venv/bin/python", pip_status=1)
    failed = _setup(clone, "install", path=ready)
    assert failed.returncode == 1
    assert failed.stderr.startswith("ERROR: what pip says\nerror: pip could not install")
    assert not (clone / ".venv/installed").exists()
    _python(clone / ".venv/bin/python")
    assert _setup(clone, "install", path=ready).returncode == 0
    assert (clone / ".venv/installed").exists()
    assert len(_asked(clone)) == 3


def test_a_gpu_takes_the_cuda_build_alone(clone: Path, ready: Path) -> None:
    _program(ready / "nvidia-smi", "echo 'GPU 0: NVIDIA H200'")
    assert _setup(clone, "install", path=ready).returncode == 0
    install, uninstall, reinstall = _asked(clone)
    assert install.endswith(".[gpu]")
    assert uninstall.endswith("-y tensorflow-cpu")
    assert reinstall.endswith("--no-deps --force-reinstall tensorflow")


def test_a_driver_without_a_gpu_takes_the_cpu_build(clone: Path, ready: Path) -> None:
    _program(ready / "nvidia-smi", "echo 'No devices were found' && exit 6")
    assert _setup(clone, "install", path=ready).returncode == 0
    assert _asked(clone)[0].endswith("--editable .")


def test_arguments_go_on_and_so_does_the_status(clone: Path, ready: Path) -> None:
    _setup(clone, "test", path=ready)
    _program(clone / ".venv/bin/python", '[ "$1" = -c ] || { echo "$@" >> ran; exit 7; }')  # -c asks for its version
    assert _setup(clone, "test", "-k", "shape and not slow", path=ready).returncode == 7
    assert _setup(clone, "demo", "--seed", "3", path=ready).returncode == 7
    ran = (clone / "ran").read_text().splitlines()
    assert ran == ["-m pytest --numprocesses 2 --dist loadgroup -k shape and not slow", "-m lsd_experiments.demo --seed 3"]


@pytest.fixture
def ci(clone: Path) -> Path:
    """The clone with ``.ci/run``, whose steps note that they ran; the tests end with the status in ``wanted``."""
    (clone / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", clone / ".ci/run")
    (clone / "wanted").write_text("0")
    _program(clone / ".ci/system-packages", "echo packages >> ran")
    _program(clone / ".ci/container", "echo container >> ran")
    _program(clone / "setup.sh", 'echo "$@ $CI" >> ran; if [ "$1" = test ]; then exit "$(cat wanted)"; fi')
    return clone


def _run_ci(clone: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([clone / ".ci/run"], cwd="/", timeout=60, capture_output=True, text=True)


def test_ci_runs_what_the_readme_names(ci: Path) -> None:
    result = _run_ci(ci)
    assert result.returncode == 0, result.stderr
    assert (ci / "ran").read_text().splitlines() == [
        "packages", "demo true", "test --costs true", "test --rest --costs true", "check true", "container"]


def test_ci_stops_at_the_first_failure(ci: Path) -> None:
    (ci / "wanted").write_text("3")
    result = _run_ci(ci)
    assert result.returncode == 3
    assert "failed (status 3)" in result.stdout
    assert (ci / "ran").read_text().splitlines() == ["packages", "demo true", "test --costs true"]


def test_system_packages_that_cannot_be_installed_are_named(machine: Path) -> None:
    for name, text in {"id": "echo 1000", "apt-get": "exit 1"}.items():
        _program(machine / name, text)
    result = subprocess.run(["bash", ROOT / ".ci/system-packages"], env={"PATH": str(machine)}, capture_output=True,
                            text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert "not root; tests that need these skip: chromium chromium-driver" in result.stdout


def test_segment_takes_paths_of_where_the_user_is(clone: Path, machine: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    _program(machine / "python3.11", """
case "$*" in
    "-m venv --clear .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *lsd.segment*) echo "in $PWD: ${*:4}" ;;
esac""")
    done = subprocess.run(["bash", str(clone / "setup.sh"), "segment", "raw.zarr", "labels.npy"], cwd=elsewhere, text=True,
                          env={**os.environ, "PATH": str(machine)}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"in {elsewhere}: raw.zarr labels.npy"
