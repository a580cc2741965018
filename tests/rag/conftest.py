"""Databases to test with."""

import pytest


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def place(request, tmp_path):
    """Where each kind of database may be made."""
    return str(tmp_path / "graph.db") if request.param == "sqlite" else request.getfixturevalue("url")
