"""Runs that fail for their database or their bucket: its password is in no message, log, record or output."""

import logging

import pytest

from lsd_experiments import cli
from lsd_experiments.arrays import patience, s3
from lsd_experiments.families.xpress import evaluation as skeletons
from lsd_experiments.pipeline import command
from lsd_experiments.rag import commands as graphs
from lsd_experiments.scores import command as scores
from tests import secrets

URLS = {
    "nobody listens": "postgresql://ann:{}@127.0.0.1:1/db",
    "no such host": "postgresql://ann:{}@no-such-host.invalid/db",
    "a socket that is not there": "postgresql://ann:{}@%2Fnowhere/db",
    "as a parameter": "postgresql://ann@127.0.0.1:1/db?password={}",
    "no such parameter": "postgresql://ann:{}@127.0.0.1:1/db?conect_timeout=3",
    "in place of the port": "postgresql://ann:{}/db",
    "two colons": "postgresql://ann:x:{}@127.0.0.1:1/db",
    "no host": "postgresql://{}@/db@",
    "another scheme": "mysql://ann:{}@127.0.0.1/db",
    "a slash too few": "postgresql:/ann:{}@127.0.0.1/db",
    "words": "host=127.0.0.1 port=1 password={}",
}
COMMANDS = {
    "run": lambda config: command.main("run", None, [config, "--debug"]),
    "dry run": lambda config: command.main("run", None, [config, "--dry-run"]),
    "agglomerate": lambda config: command.main("agglomerate", None, [config]),
    "status": lambda config: command.main("status", None, [config]),
    "export_graph": lambda config: graphs.export_main(None, [config, "graph", "--debug"]),
    "import_graph": lambda config: graphs.import_main(None, [config, "graph"]),
    "evaluate_skeletons": lambda config: cli.run(skeletons.main, skeletons.parser(None),
                                                 ["--graph", config, "skeletons.csv"]),
}


REACHING = ("run", "dry run", "status", "export_graph")  # the others miss files before


@pytest.fixture
def silent(tmp_path, capfd, caplog, monkeypatch):
    """A function that ends a command, and looks for a secret in all that it said and left; the error stream is what it gives."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG, "lsd_experiments")  # as --debug does; botocore's own is full of secrets
    for name, value in secrets.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "skeletons.csv").write_text("id,z,y,x,parent\n1,300,200,100,\n")

    def silent(call, *but):
        with pytest.raises(SystemExit) as ended:
            call()
        said = capfd.readouterr()
        assert ended.value.code in (1, 2), said
        assert secrets.MARK not in said.out + said.err + caplog.text
        assert "Traceback" not in said.err
        assert [path for path in secrets.told([tmp_path]) if path not in but] == []
        return said.err

    return silent


@pytest.mark.parametrize("way", ["in the configuration", "in the environment"])
@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_a_database_that_cannot_be_had(url, way, config, tmp_path, out_file, silent, monkeypatch):
    place = url.format("hush-database")
    path = config(top=f"db = '{place}'" if way == "in the configuration" else "", evaluate="")
    if way == "in the environment":
        monkeypatch.setenv("LSD_DATABASE", place)
    for name, call in COMMANDS.items():
        said = silent(lambda call=call: call(str(path)), path)
        if name in REACHING:
            assert said.startswith(("error: db: ", "error: postgresql://ann@")), said


# A URL of a database where something else belongs.
MISPLACED = [("", "raw_file"), ("", "raw_dataset"), ("", "setup"), ("fragments", "affs_file"), ("fragments", "affs_dataset"),
             ("fragments", "mask_file"), ("fragments", "fragments_file"), ("", "databse"),
             ("evaluate", "labels_file"), ("evaluate", "labels_dataset"), ("evaluate", "skeletons_file"),
             ("evaluate", "scores_db"), ("evaluate", "out_prefix"), ("evaluate", "best"),
             ("agglomerate", "merge_function"), ("extract", "threshold")]


@pytest.mark.parametrize(("section", "key"), MISPLACED)
def test_a_url_in_another_place(section, key, config, tmp_path, out_file, silent):
    line = f"{key} = 'postgresql://ann:hush-database@127.0.0.1:1/db'"
    if section == "evaluate":
        path = config(evaluate=line if key.endswith("s_file") else f"labels_file = 'out.zarr'\n{line}")
    else:
        path = config(top="" if section else f"setup = 'nowhere'\n{line}".replace("setup = 'nowhere'\nsetup", "setup"),
                      **({section: line} if section and key != "merge_function" else {}))
        path.write_text(path.read_text().replace('merge_function = "hist_quant_50"', line if key == "merge_function" else ""))
    assert secrets.told([path]) == [path]  # it is found where it is
    assert "error: " in silent(lambda: command.main("run", None, [str(path), "--dry-run", "--debug"]), path)


@pytest.mark.parametrize("call", [
    lambda place: cli.run(lambda options: options.command(options), scores._parser(None), ["show", "--db", place]),
    lambda place: command.main("run", None, [place]),
    lambda place: command.main("run", None, ["config.toml", "--db", place]),
    lambda place: graphs.export_main(None, [place, place]),
    lambda place: cli.run(skeletons.main, skeletons.parser(None), [place, place, "--debug"]),
])
def test_a_url_as_an_argument(call, silent):
    assert "error: " in silent(lambda: call("postgresql://ann:hush-database@127.0.0.1:1/db"))


def test_a_bucket_that_cannot_be_reached(config, out_file, silent, monkeypatch):
    """Its server's URL may hold a password, too."""
    monkeypatch.setattr(patience, "OPENING", 0)
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "NO")
    s3._filesystem.cache_clear()
    path = config(evaluate="labels_file = 's3://data/sample.zarr'")
    said = silent(lambda: command.main("run", None, [str(path), "--dry-run", "--debug"]))
    assert "s3://data/sample.zarr: cannot be read from http://user:***@127.0.0.1:1" in said
    s3._filesystem.cache_clear()
