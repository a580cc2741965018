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


@pytest.mark.parametrize("text", [
    "host=h password=s3cret dbname=x", "host=h PASSWORD = 's3cret'", "postgresql:/u:s3cret@h/db", "postgresql:u:s3cret@h/db",
    "postgresql//u:s3cret@h/db", "u:s3cret@h/db", "host=h password=s3cret://", "Postgres:s3cret",
    "PostgreSQL://u:s3cret@h/db", "postgresql+psycopg2://u:s3cret@h/db"])
@pytest.mark.parametrize("directory", ["", "/data/run/"])  # as a path relative to a configuration comes
def test_what_is_no_url_may_hold_a_password_and_is_not_taken_as_a_file(text, directory):
    with pytest.raises(UserError, match=r"db: .*Name a file for SQLite, or postgresql://") as caught:
        is_url(directory + text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("path", ["graph.db", "/data/12:30/graph.db", "/data/ann@lab/graph.db", "postgres/graph.db", "pass=1.db"])
def test_files_may_have_signs_in_their_names(path):
    assert not is_url(path)


@pytest.mark.parametrize("key", ["sslpassword", "sslpasswor%64", "oauth_client_secret", "scram_client_key", "Password"])
def test_other_secrets_are_refused(key):
    with pytest.raises(UserError, match=r"a secret that is not its password .*pg_service\.conf") as caught:
        split_password(f"postgresql://ann@host/db?schema=a&{key}=s3cret")
    assert "s3cret" not in str(caught.value)
    files = "postgresql://ann@host/db?sslkey=a.key&passfile=b"
    assert split_password(files) == (files, None)


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
