"""What the tests cost: with ``--costs``, the 25 that took most, the seconds of each directory, and whether it keeps its budget.

A second is one of a CPU, of the tests' process and of all that it started and waited for, so that a busy machine does not matter;
those on the clock stand beside it. budgets.toml has twice what was measured; a directory that needs more fails the run.

Where pytest-xdist runs the tests in several processes (``-n 2``), each measures its own, and the one that you see adds them up.
"""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scripts import cpu_seconds

TESTS = Path(__file__).parent
SLOWEST = 25


class Costs:
    """Measures each test, with the fixtures that are made for it first, and says at the end what was measured."""

    def __init__(self, budgets: dict[str, float]) -> None:
        self.budgets, self.tests, self.directories, self.clock = budgets, Counter(), Counter(), Counter()
        self.too_much: list[str] = []

    @property
    def measured(self) -> dict[str, Counter]:
        return {"tests": self.tests, "directories": self.directories, "clock": self.clock}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        cpu, clock = cpu_seconds(), time.monotonic()
        done = yield
        directory = directory_of(item.path)
        self.tests[item.nodeid] = cpu_seconds() - cpu
        self.directories[directory] += self.tests[item.nodeid]
        self.clock[directory] += time.monotonic() - clock
        return done

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add what a process of pytest-xdist measured."""
        for name, values in getattr(node, "workeroutput", {}).get("costs", {}).items():
            self.measured[name].update(values)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["costs"] = {name: dict(values) for name, values in self.measured.items()}
            return
        for directory, used in self.directories.items():
            budget = self.budgets.get(directory, 0)
            if used > budget:
                self.too_much.append(f"{directory}: {used:.0f} CPU seconds, and its budget is {budget}. Make its tests quicker, "
                                     f"or say in tests/budgets.toml why it needs more")
        if self.too_much and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        say = terminalreporter.write_line
        terminalreporter.section("costs")
        for name, used in self.tests.most_common(SLOWEST):
            say(f"{used:8.1f} CPU s  {name}")
        say("")
        for name, used in self.directories.most_common():
            say(f"{used:8.1f} CPU s {self.clock[name]:8.1f} s on the clock   {name}")
        say(f"{self.directories.total():8.1f} CPU s {self.clock.total():8.1f} s on the clock   all")
        for line in self.too_much:
            terminalreporter.write_line(f"error: {line}", red=True)


def directory_of(path: Path) -> str:
    """Its first part below tests/; "tests" for what lies there itself."""
    parts = path.relative_to(TESTS).parts if path.is_relative_to(TESTS) else ()
    return parts[0] if len(parts) > 1 else "tests"
