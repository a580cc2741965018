"""What all tests share: which of them run, and what they cost."""

import itertools
import signal
import tomllib
from collections import Counter

import pytest

from tests import costs
from tests.rag.cluster import missing, start

# Where the tests run in the background of a script, they inherit that Ctrl-C is ignored, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Marks of tests that take long or need more than this package: not what a user waits for. CONTRIBUTING.md says what they are.
MORE = ("kills", "cluster", "database", "browser", "container")
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
    if config.getoption("all") or config.getoption("markexpr"):
        return
    more = {item: any(item.get_closest_marker(name) for name in MORE) for item in items}
    left = [item for item in items if more[item] != config.getoption("rest")]
    config.hook.pytest_deselected(items=left)
    config.stash[LEFT] = len(left)
    items[:] = [item for item in items if item not in left]


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
