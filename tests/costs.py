"""What the tests cost: with ``--costs``, the 25 that took most, the seconds of each directory, and whether it keeps its budget.

A second is one of a CPU, of the tests' process and of all that it started and waited for, so that a busy machine does not matter;
those on the clock stand beside it. budgets.toml has twice what was measured; a directory that needs more fails the run.
"""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts import cpu_seconds

TESTS = Path(__file__).parent
SLOWEST = 25


class Costs:
    """Measures each test, with the fixtures that are made for it first, and says at the end what was measured."""

    def __init__(self, budgets: dict[str, float]) -> None:
        self.budgets, self.tests, self.directories, self.clock = budgets, Counter(), Counter(), Counter()
        self.too_much: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        cpu, clock = cpu_seconds(), time.monotonic()
        done = yield
        directory = directory_of(item.path)
        self.tests[item.nodeid] = cpu_seconds() - cpu
        self.directories[directory] += self.tests[item.nodeid]
        self.clock[directory] += time.monotonic() - clock
        return done

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
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
