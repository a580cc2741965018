"""Every fenced command of the README, CONTRIBUTING and docs runs, or says why no test runs it.

    ```sh                        run here, in a copy of the repository; a page's blocks in order, each from its root
    ```sh skip="the reason"      not run; its scripts, modules, options and ./setup.sh commands must exist
    ```python                    run here, in an empty directory, each by itself
    ```text, toml, json          not a command
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.scripts import run_script

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r'^(?P<language>sh)(?: skip="(?P<reason>[^"]+)")?$|^(?P<quoted>python|text|toml|json)$')
SECONDS = 120  # for one block: what takes longer is tagged


@dataclass(frozen=True)
class Block:
    """A fenced block: ``place`` is page:line, ``reason`` why it is not run."""

    place: str
    code: str
    language: str | None
    quoted: str | None
    reason: str | None


def read_blocks(page: Path) -> list[Block]:
    """The fenced blocks of ``page``, in order."""
    blocks, begin, lines = [], None, []
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
        elif begin is None:
            begin, info, lines = number, line.strip().removeprefix("```"), []
        else:
            fence = FENCE.match(info)
            assert fence, f"{page.name}:{begin}: '{info}' is no fence that we know; this file lists them"
            blocks.append(Block(f"{page.name}:{begin}", "\n".join(lines), fence["language"], fence["quoted"], fence["reason"]))
            begin = None
    assert begin is None, f"{page.name}:{begin}: this fence is not closed"
    return blocks


def run_blocks(blocks: list[Block], root: Path) -> None:
    """Run what is not tagged, in a shell that stops at the first failure."""
    for block in blocks:
        if block.language == "sh" and block.reason is None:
            result = _run(["bash", "-euo", "pipefail", "-c", block.code], root, root)
            assert result.returncode == 0, f"{block.place}:\n{block.code}\n{result.stdout}\n{result.stderr}"


def run_python(blocks: list[Block]) -> None:
    """Run what is Python, in this process."""
    for block in blocks:
        if block.quoted == "python":
            exec(compile(block.code, block.place, "exec"), {"__name__": "__main__"})


def check_skipped(block: Block, root: Path) -> None:
    """Check that what ``block`` calls exists, with its options, though the block is not run."""
    syntax = _run(["bash", "-n", "-c", block.code], root, root)
    assert syntax.returncode == 0, f"{block.place}: {syntax.stderr}"
    for directory, command in _commands(block.code, root):
        asked = {word.partition("=")[0] for word in command if word.startswith("--")}
        if command[0] == "./setup.sh":
            known = _run(["./setup.sh", "help"], directory, root).stdout
            asked = set(command[1:2])
        elif command[0] == "python":
            if command[1] == "-":  # what it reads follows
                continue
            target = command[1:3] if command[1] == "-m" else command[1:2]
            result = _help(directory, *target)
            assert result.returncode == 0, f"{block.place}: {shlex.join(command)}:\n{result.stderr}"
            known = result.stdout
        else:
            assert "/" not in command[0] or (directory / command[0]).exists(), f"{block.place}: no {command[0]}"
            continue
        unknown = [word for word in sorted(asked) if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", known)]
        assert not unknown, f"{block.place}: {shlex.join(command)}: there is no {', '.join(unknown)}"


def _commands(code: str, directory: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each simple command of ``code``, without assignments before it, and the directory it runs in."""
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.commenters = "#"
        command: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                if command[:1] == ["cd"]:
                    directory = directory / command[1].replace("mylab/", "fib25/")  # plan.py would have made it
                elif command:
                    yield directory, command
                command = []
            elif command or not re.match(r"\w+=|do$|done$|then$", word):
                command.append(word)


@cache
def _help(directory: Path, *target: str) -> subprocess.CompletedProcess[str]:
    """What ``python target --help`` says."""
    return run_script(*target, "--help", cwd=directory, frameworks=False)


def _run(command: list[str], directory: Path, root: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=directory, env=environment, timeout=SECONDS, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository; its ``.venv`` is this environment, its package this one, with what numba compiled.

    Not to be changed.
    """
    place = tmp_path_factory.mktemp("repository")
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout
    (place / ".venv").symlink_to(sys.prefix)
    (place / "lsd_experiments").symlink_to(ROOT / "lsd_experiments")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not (place / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    return place


of_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@of_each_page
def test_commands_run(page: Path, pristine: Path, tmp_path: Path) -> None:
    blocks = read_blocks(page)
    if any(block.language == "sh" and block.reason is None for block in blocks):
        run_blocks(blocks, shutil.copytree(pristine, tmp_path / "copy", symlinks=True))


@of_each_page
def test_commands_that_are_not_run_exist(page: Path, pristine: Path) -> None:
    for block in read_blocks(page):
        if block.reason:
            check_skipped(block, pristine)


@of_each_page
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_python(read_blocks(page))


def test_python_that_fails_is_found(page: Path) -> None:
    run_python(_write(page, "python", "assert 1 + 1 == 2"))
    with pytest.raises(AssertionError):
        run_python(_write(page, "python", "assert 1 + 1 == 3"))


def test_the_readme_has_commands_of_both_kinds() -> None:
    blocks = read_blocks(ROOT / "README.md")
    assert any(block.language and block.reason for block in blocks)
    assert any(block.language and not block.reason for block in blocks)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "tool.py").write_text("import argparse\nparser = argparse.ArgumentParser()\n"
                                      "parser.add_argument('--size')\nparser.parse_args()\n")
    return tmp_path / "page.md"


def _write(page: Path, info: str, code: str) -> list[Block]:
    page.write_text(f"Text.\n\n```{info}\n{code}\n```\n")
    return read_blocks(page)


def test_a_command_that_fails_is_found(page: Path) -> None:
    run_blocks(_write(page, "sh", "python tool.py --size 3"), page.parent)
    with pytest.raises(AssertionError, match=r"page\.md:3"):
        run_blocks(_write(page, "sh", "python tool.py --sise 3\ntrue"), page.parent)


@pytest.mark.parametrize("code", [
    "A=1 python tool.py --size 3 | head",
    "for n in 1 2; do python tool.py --size $n; done",
    "python \\\n  tool.py --size=3  # --not an option",
])
def test_a_skipped_command_that_exists_passes(page: Path, code: str) -> None:
    (block,) = _write(page, 'sh skip="long"', code)
    check_skipped(block, page.parent)


@pytest.mark.parametrize(("code", "found"), [
    ("python gone.py", "gone.py"),
    ("mkdir x; cd x && python tool.py", "tool.py"),
    ("A=1 python tool.py --size 3 --siz 4", "no --siz"),
    ("python -m gone_module", "gone_module"),
    ("./gone.sh", "no ./gone.sh"),
    ("if python tool.py", "syntax error"),
])
def test_a_skipped_command_that_does_not_exist_is_found(page: Path, code: str, found: str) -> None:
    (page.parent / "x").mkdir()
    (block,) = _write(page, 'sh skip="long"', code)
    with pytest.raises(AssertionError, match=re.escape(found)):
        check_skipped(block, page.parent)


@pytest.mark.parametrize("info", ["", "bash", "sh skip", 'sh skip=""'])
def test_a_fence_says_what_it_is(page: Path, info: str) -> None:
    with pytest.raises(AssertionError, match="no fence that we know"):
        _write(page, info, "true")
