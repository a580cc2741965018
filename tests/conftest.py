"""What all tests share: which of them run, and what they cost."""

import itertools
import signal
import tomllib
from collections import Counter
from typing import Any

import pytest

from tests import costs
from tests.rag.cluster import missing, start

# Where the tests run in the background of a script, they inherit that Ctrl-C is ignored, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Marks of tests that take long or need more than this package: not what a user waits for. CONTRIBUTING.md says what they are.
MORE = ("slow", "kills", "cluster", "database", "browser", "container", "others")
LEFT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help=f"run the tests of {', '.join(MORE)}, too")
    parser.addoption("--rest", action="store_true", help="run these alone")
    parser.addoption("--costs", action="store_true", help="show what the tests cost; fail where a directory exceeds its budget")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("costs"):
        budgets = tomllib.loads((costs.TESTS / "budgets.toml").read_text())
        parts = ["rest"] if config.getoption("rest") else ["test", "rest"] if config.getoption("all") else ["test"]
        config.pluginmanager.register(costs.Costs(sum((Counter(budgets[part]) for part in parts), Counter())))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    more = {item: any(item.get_closest_marker(name) for name in MORE) for item in items}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item, more[item])))
    if config.getoption("all") or config.getoption("markexpr"):
        return
    left = [item for item in items if more[item] != config.getoption("rest")]
    config.hook.pytest_deselected(items=left)
    config.stash[LEFT] = len(left)
    items[:] = [item for item in items if more[item] == config.getoption("rest")]


def _group(item: pytest.Item, more: bool) -> str:
    """Which tests one process of pytest-xdist runs: those of a directory, which share fixtures; slow ones by file."""
    directory = costs.directory_of(item.path)
    return str(item.path) if more or directory == "tests" else directory


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # of a process of pytest-xdist
        session.config.workeroutput["left"] = session.config.stash.get(LEFT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[LEFT] = getattr(node, "workeroutput", {}).get("left", 0)  # the same of each: all collect all


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash.get(LEFT, 0) and not config.getoption("rest"):
        terminalreporter.write_line(f"left out: {config.stash[LEFT]} tests of {', '.join(MORE)}. --all runs them, too")


schemas = itertools.count()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A PostgreSQL server that all tests share: each takes a schema of its own."""
    if missing():
        pytest.skip(missing())
    cluster = start(tmp_path_factory.mktemp("postgresql"))
    yield cluster
    cluster.remove()


@pytest.fixture
def url(cluster):
    """Of a schema that is not there yet."""
    return f"{cluster.url}?schema=graph_{next(schemas)}"
