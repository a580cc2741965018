"""Which tests run, what they cost, and a directory that needs more than its budget: of a few tests of their own."""

import tomllib

import pytest

from tests.costs import TESTS, directory_of
from tests.scripts import run_script

CONFTEST = """
from pathlib import Path
from tests import costs
from tests.conftest import *
costs.TESTS = Path(__file__).parent
"""
BUSY = """
import subprocess, sys, time, pytest
def spend(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
def test_here(): spend(0.3)
def test_in_a_child(): subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.3: pass"])
def test_that_waits(): time.sleep(0.3)
@pytest.mark.kills
def test_more(): spend(0.3)
"""


@pytest.fixture
def run(tmp_path):
    """A function that runs the tests below, and gives what pytest said."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = kills")
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "test_busy.py").write_text(BUSY)
    (tmp_path / "test_quick.py").write_text("def test_quick(): pass")

    def run_tests(*arguments, busy=5, rest=5):
        (tmp_path / "budgets.toml").write_text(f"[test]\nbusy = {busy}\ntests = 5\n[rest]\nbusy = {rest}\n")
        ended = run_script("-m", "pytest", *arguments, cwd=tmp_path)
        return ended.returncode, ended.stdout
    return run_tests


@pytest.mark.parametrize(("arguments", "status", "said", "left"), [
    ((), 0, "4 passed, 1 deselected", True), (("-k", "more"), 5, "5 deselected", True),  # 5: no tests ran
    (("--all",), 0, "5 passed", False), (("--rest",), 0, "1 passed, 4 deselected", False),
    (("-m", "kills"), 0, "1 passed, 4 deselected", False),
])  # fmt: skip
def test_which_run(run, arguments, status, said, left):
    ended = run(*arguments)
    assert (ended[0], said in ended[1], "left out: 1 tests of slow, kills, " in ended[1]) == (status, True, left), ended[1]


@pytest.mark.parametrize("processes", [0, 2])
def test_what_they_cost(run, processes):
    status, text = run("--costs", "-n", processes, "--dist", "loadgroup")
    assert status == 0, text
    rows = {line.split()[-1]: float(line.split()[0]) for line in text.splitlines() if " CPU s " in line}
    names = [name.partition("::")[2] for name in rows if "::" in name]
    assert {*names[:2]} == {"test_here", "test_in_a_child"}
    assert rows["busy"] >= 0.6 > rows["tests"]
    assert rows["busy/test_busy.py::test_that_waits"] < 0.25
    assert rows["all"] >= rows["busy"]


def test_a_directory_that_outgrew_its_budget_fails(run):
    status, text = run("--costs", busy=0.5)
    assert (status, "4 passed" in text) == (1, True)
    assert "error: busy: 1 CPU seconds, and its budget is 0.5. Make its tests quicker" in text
    assert run("--costs", "--rest", busy=0.5)[0] == 0
    assert run("--costs", "--all", busy=0.5, rest=0.3)[0] == 1
    assert run("--costs", "--rest", rest=0.1)[0] == 1
    status, text = run("--costs", "-n", 2, busy=0.5)
    assert (status, "4 passed" in text, "left out: 1 tests of slow, kills" in text) == (1, True, True)
    assert "error: busy: 1 CPU seconds, and its budget is 0.5." in text
    assert run(busy=0.1)[0] == 0


def test_every_directory_has_a_budget():
    budgets = tomllib.loads((TESTS / "budgets.toml").read_text())
    there = {directory_of(path) for path in TESTS.rglob("test_*.py")}
    assert there == {*budgets["test"]}
    assert {*budgets["rest"]} <= there
