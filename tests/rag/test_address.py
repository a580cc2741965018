"""Passwords do not stay in URLs."""

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.rag import is_url, split_password
from lsd_experiments.rag.address import parse_address


@pytest.mark.parametrize(("url", "bare", "password"), [
    ("postgresql://ann:secret@host:5433/db", "postgresql://ann@host:5433/db", "secret"),
    ("postgres://ann:s%40c%2Fr:t@host/db?schema=a", "postgres://ann@host/db?schema=a", "s@c/r:t"),
    ("postgresql://ann@host/db", "postgresql://ann@host/db", None),
    ("postgresql://host:5433/db", "postgresql://host:5433/db", None),
    ("postgresql://ann:@host/db", "postgresql://ann@host/db", None),
    ("postgresql:///db?host=/run/pg&user=ann&password=sec%20ret", "postgresql:///db?host=/run/pg&user=ann", "sec ret"),
    ("postgresql:///db?passwor%64=secret", "postgresql:///db", "secret"),
    ("postgresql://ann:secret@[::1]:5433,other:5434/db", "postgresql://ann@[::1]:5433,other:5434/db", "secret"),
    ("postgresql://", "postgresql://", None),
])
def test_a_password_is_taken_out(url, bare, password):
    assert split_password(url) == (bare, password)
    address = parse_address(url)
    assert address.password == password
    assert "password" not in address.parameters
    assert all(word not in repr(address) + address.name for word in ("secret", "sec ret", "s@c/r:t", "s%40c"))


@pytest.mark.parametrize("url", ["postgresql://ann:sec@ret@host/db", "postgresql://ann:sec/ret@host/db", "postgresql://ann:sec?ret@host/db",
                                 "postgresql://ann:sec#ret@host/db", "postgresql://ann:secret@host/db#part"])
def test_a_malformed_url_is_not_quoted(url):
    with pytest.raises(UserError, match="malformed") as caught:
        split_password(url)
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(("url", "says"), [
    ("postgresql://ann:secret@host/db?schema=a;b", "schema=a;b"),
    ("postgresql://ann:secret@host/db?schema=pg_catalog", "schema=pg_catalog"),
    ("postgresql://ann:secret@host/db?shcema=a", 'invalid URI query parameter: "shcema"'),
])
def test_what_a_url_cannot_say_is_refused(url, says):
    with pytest.raises(UserError, match=says) as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)


def test_the_name_has_what_the_environment_adds(monkeypatch):
    for variable in ("PGUSER", "PGHOST", "PGPORT", "PGDATABASE"):
        monkeypatch.delenv(variable, raising=False)
    assert parse_address("postgresql://ann@host/db?schema=other").name == "postgresql://ann@host:5432/db?schema=other"
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATABASE", "graphs")
    assert parse_address("postgresql://ann@host?schema=lsd").name == "postgresql://ann@host:6000/graphs"


def test_what_is_a_url(tmp_path):
    assert is_url("postgresql://host/db")
    assert is_url("postgres://host/db")
    assert not is_url("graph.db")
    assert not is_url(tmp_path / "graph.db")
    with pytest.raises(UserError, match=r"begins with mysql://\. Name a file") as caught:
        is_url("mysql://ann:secret@host/db")
    assert "secret" not in str(caught.value)
