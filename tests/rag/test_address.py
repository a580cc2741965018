"""Passwords do not stay in URLs."""

import re
from random import Random

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.rag import is_url, split_password
from lsd_experiments.rag.address import parse_address
from lsd_experiments.rag.session import Session


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


MARKER = "hUnTer2"
TEMPLATES = [
    "postgresql://ann:{}/db", "postgresql://ann:{}", "postgresql://host:5432/ann:{}@host", "postgresql://host:{}/db?schema=a",
    "postgresql://ann@host:{}/db", "postgresql://ann@host/db&password={}", "postgresql://ann@host/db&passwd={}&schema=a",
    "postgresql://ann@host/password={}", "postgresql://ann%3A{}@host/db", "postgresql://ann@host/db%26password%3D{}",
    "postgresql://ann@host/host%3Dh%20password%3D{}", "postgresql://ann@host/db?{}", "postgresql://ann@host/db?ann:{}",
    "postgresql://ann@host/db?schema=a&{}", "postgresql://ann@host/db?{}=", "postgresql://ann@host/db?pwd={}", "postgresql://ann@host/db?pass={}",
    "postgresql://ann@host/db?port={}", "postgresql://ann@host/db?user=ann:{}", "postgresql://ann@host/db?host=ann:{}@host",
    "postgresql://ann@host/db?dbname=postgresql://ann:{}@host/db", "postgresql://ann@host/db?schema=a:{}", "postgresql://ann@host/db#{}",
    "postgresql://ann@host/db?schema=a?password={}", "postgresql://ann:%zz{}@host/db?sslmode=%zz", "postgresql://ann:a@{}@host/db",
    "postgresql://ann:a/{}@host/db", "postgresql://ann:a?{}@host/db", "postgresql://ann:a#{}@host/db", "postgresql://ann:{}@[::1/db",
    "postgresql://ann:{}@host:54x/db", "postgresql://ann:{}@host/db?shcema=a", "postgresql://ann: {}@host /db",
    "postgresql:/ann:{}@host/db", "postgresql:ann:{}@host/db", "postgresql//ann:{}@host/db", "postgresl://ann:{}@host/db",
    "Postgresql://ann:{}@host/db", "mysql://ann:{}@host/db", " postgresql://ann:{}@host/db", "postgresql ://ann:{}@host/db",
    "ann:{}@host/db",
    "ann:{}@host", "host=h password={} dbname=x", "password = '{}'", "{}://ann@host/db", "postgres: {}", "postgres:{}", "://ann:{}@host/db",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_message_has_what_may_be_a_password(template, tmp_path, monkeypatch):
    """Wherever it came in: what follows from a URL is refused without it, or holds it as its password."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSD_DATABASE_RETRY", "0")
    text = template.format(MARKER)
    with pytest.raises(UserError) as caught:
        _ = is_url(text) and parse_address(split_password(text)[0])
    assert MARKER.lower() not in f"{caught.value} {caught.value.__cause__}".lower()


@pytest.mark.parametrize("seed", range(300))
def test_damaged_urls_show_no_password(seed, tmp_path, monkeypatch):
    """One sign more, less or another one anywhere in a URL, with seeds."""
    monkeypatch.chdir(tmp_path)
    random = Random(seed)
    url = list(f"postgresql://ann:{MARKER}@host:5432/db?schema=a&sslmode=prefer")
    first = url.index(MARKER[0])
    places = [*range(first), *range(first + len(MARKER), len(url))]  # the password itself stays whole
    for _ in range(random.randint(1, 2)):
        place = random.choice([each for each in places if each < len(url)])
        url[place] = random.choice(["", *"@:/?#&=% '\"\\[]", url[place] * 2])
    text = "".join(url)
    shown = ""
    try:
        if is_url(text):
            bare, password = split_password(text)
            shown = bare + parse_address(bare).name + repr(parse_address(text))
            assert password is None or MARKER in password
    except UserError as error:
        shown = str(error)
    well_formed = re.match(rf"postgresql://\w*{MARKER}@", text)  # without its colon it is a user's name
    assert well_formed or MARKER.lower() not in shown.lower(), text


@pytest.mark.parametrize("variable", ["PGUSER", "PGHOST", "PGPORT", "PGDATABASE"])
def test_what_the_environment_says_in_the_wrong_place_is_not_quoted(variable, monkeypatch):
    monkeypatch.setenv(variable, f"postgresql://ann:{MARKER}@host/db")
    with pytest.raises(UserError, match=rf"{variable} in the environment is no \w+ of a database\. Correct it") as caught:
        parse_address("postgresql:///")
    assert MARKER not in str(caught.value)


@pytest.mark.parametrize(("url", "environment"), [
    ("postgresql://ann@127.0.0.1:1/db?service={}", {}), ("postgresql://ann@127.0.0.1:1/db?sslmode={}", {}),
    ("postgresql://ann@127.0.0.1:1/db?connect_timeout={}", {}),
    ("postgresql://ann@127.0.0.1:1/db?application_name=a", {"PGSERVICE": "{}"}),
    ("postgresql://ann@127.0.0.1:1/db", {"PGPASSWORD": "{}", "PGSSLMODE": "{}"}), ("postgresql://ann:{}@127.0.0.1:1/db", {})])
def test_what_libpq_says_is_shown_without_what_it_quotes(url, environment, monkeypatch, caplog):
    for key, value in environment.items():
        monkeypatch.setenv(key, value.format(MARKER))
    session = Session(parse_address(url.format(MARKER)), retry=0)
    with pytest.raises(UserError, match=r"cannot be reached") as caught:
        session.run(lambda cursor: None)
    assert MARKER not in str(caught.value) + caplog.text + repr(caught.value.__cause__)


@pytest.mark.parametrize("directory", ["a:b@c", "x@y:z", "postgres:a", "password=x", "a b:c@d e", "mysql:"])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_directory_that_is_there_is_a_path_whatever_its_name(directory, absolute, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / directory).mkdir()
    for name in ("graph.db", "to be made/graph.db", "a:b@c.db"):
        place = f"{tmp_path}/{directory}/{name}" if absolute else f"{directory}/{name}"
        assert not is_url(place)
    assert not is_url(directory)


@pytest.mark.parametrize("path", ["x@y:z/graph.db", r"C:\Users\ann@lab\graph.db", "my graphs/graph 1.db", "a:b@c.sqlite",
                                  "C:graph.db"])
def test_paths_that_are_not_there_yet(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_url(path)
