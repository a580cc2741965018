"""Results that all tests here share, and copies of them."""

import shutil

import pytest

from tests.report.making import make_results


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """The directory of four results. Not to be changed."""
    return make_results(tmp_path_factory.mktemp("results"))


@pytest.fixture
def copied(results, tmp_path):
    """A copy of them."""
    return shutil.copytree(results, tmp_path / "copied")
