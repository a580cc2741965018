"""How commands end: statuses, one line of error, tracebacks only where they help."""

import errno
import logging
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.fetching import command as fetching
from lsd_experiments.pipeline import command as pipeline
from tests.scripts import run_script

ROOT = Path(__file__).resolve().parents[1]

@pytest.fixture(autouse=True)
def _keep_level():
    logger = logging.getLogger("lsd_experiments")
    level = logger.level
    yield
    logger.setLevel(level)


def end(command, capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.run(command, cli.parser("what it does"), list(arguments))
    return ended.value.code, capsys.readouterr()


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1), (143, 143)])
def test_the_status_is_the_commands(capsys, returned, status):
    assert end(lambda options: returned, capsys)[0] == status


def test_a_users_mistake_is_one_line_and_status_2(capsys):
    def command(options):
        raise UserError("a.zarr: no such container. Name another")

    status, shown = end(command, capsys)
    assert (status, shown.out, shown.err) == (2, "", "error: a.zarr: no such container. Name another\n")
    end(command, capsys, "--debug")


def test_closed_streams_lead_nowhere(tmp_path):
    code = (
        "import os, sys\nfrom lsd_experiments import cli\n"
        "def command(options):\n"
        "    with open(sys.argv[1], 'w') as file:\n"
        "        print('out'), print('err', file=sys.stderr)\n"
        "        file.write(str(file.fileno() > 2) + sys.stdin.read())\n"
        "    os.write(1, b'not into a file'), os.write(2, b'not into a file')\n"
        "options = cli.parser(None)\noptions.add_argument('path')\ncli.run(command, options)"
    )
    path = tmp_path / "written"
    words = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code, str(path)]
    assert subprocess.run(words, timeout=60).returncode == 0
    assert path.read_text() == "True"


def test_debug_adds_the_traceback():
    code = (
        "from lsd_experiments import cli\nfrom lsd_experiments.errors import UserError\n"
        "def command(options): raise UserError('wrong')\n"
        "cli.run(command, cli.parser(None))"
    )
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (plain.returncode, plain.stderr) == (2, "error: wrong\n")
    debug = subprocess.run([sys.executable, "-c", code, "--debug"], capture_output=True, text=True)
    assert debug.returncode == 2
    assert "Traceback" in debug.stderr
    assert debug.stderr.endswith("error: wrong\n")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EEXIST])
def test_what_the_file_system_refuses_is_the_users_to_mend(capsys, number):
    def command(options):
        raise OSError(number, "as the system says it", "/there/out.zarr")

    status, shown = end(command, capsys)
    assert status == 2
    assert shown.err.startswith("error: /there/out.zarr: ")
    assert shown.err.count("\n") == 1


def test_other_errors_keep_their_traceback(capsys):
    def broken(options):
        raise OSError(errno.EIO, "input/output error")

    with pytest.raises(OSError, match="input/output"):
        cli.run(broken, cli.parser(None), [])
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda options: 1 // 0, cli.parser(None), [])


def test_interrupted(capsys):
    def command(options):
        raise KeyboardInterrupt

    status, shown = end(command, capsys)
    assert (status, shown.err) == (130, "interrupted\n")


def test_debug_is_ours_alone(capsys):
    """numba logs thousands of lines for each function that it compiles."""
    end(lambda options: None, capsys, "--debug")
    assert logging.getLogger("lsd_experiments.training").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("numba.core").isEnabledFor(logging.DEBUG)


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("12", 12), ("-0", 0)])
def test_numbers(text, expected):
    assert cli.not_negative(text) == expected
    if expected:
        assert cli.positive(text) == expected


@pytest.mark.parametrize(("kind", "text", "message"), [
    (cli.positive, "0", "0 is not above 0"),
    (cli.positive, "-3", "-3 is not above 0"),
    (cli.positive, "many", "'many' is no whole number"),
    (cli.positive, "1.5", "'1.5' is no whole number"),
    (cli.not_negative, "-1", "-1 is below 0"),
    (cli.not_negative, "", "'' is no whole number"),
])  # fmt: skip
def test_what_is_no_such_number(capsys, kind, text, message):
    parser = cli.parser("what it does")
    parser.add_argument("--jobs", type=kind)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([f"--jobs={text}"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: argument --jobs: {message}\n")


@pytest.mark.parametrize("main", [fetching.data_main, fetching.checkpoint_main, fetching.images_main,
                                  partial(pipeline.main, "run")])
def test_numbers_of_the_commands(capsys, main):
    """In the same words, and before anything else."""
    option = "--num-workers" if isinstance(main, partial) else "--jobs"
    with pytest.raises(SystemExit) as ended:
        main("", ["a.toml"] * (option == "--num-workers") + [option, "0"])
    assert ended.value.code == 2
    assert f"argument {option}: 0 is not above 0" in capsys.readouterr().err


def test_mknet_refuses_an_illegal_shape_in_one_line(tmp_path):
    script = (ROOT / "02_train" / "zebrafinch" / "mtlsd" / "mknet.py").read_text()
    (tmp_path / "mknet.py").write_text(script.replace("(84, 268, 268))", "(84, 268, 269))"))
    ended = run_script("mknet.py", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: input shape (84, 268, 269) is not legal")
    assert "(84, 268, 268)" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "train_net.json").exists()


@pytest.mark.parametrize(("text", "shown"), [
    ("postgresql://u:s3cret@h/db: no such file", "postgresql://u:***@h/db: no such file"),
    ("--dbb=postgres:/u:s3c/ret@h/db", "--dbb=postgres:/u:***@h/db"),
    ("host=h password = s3cret dbname=x", "host=h password = ***"),
    ("host=h password='s3 cret'", "host=h password=***"),
    ("Take postgresql://user:password@host:port/db", "Take postgresql://user:password@host:port/db"),
    ("/data/12:30/graph.db: no such file", "/data/12:30/graph.db: no such file"),
    ("ann@lab:/data: no such file", "ann@lab:/data: no such file"),
])
def test_passwords_are_not_said_again(text, shown, capsys):
    """Not even what was typed in a place where no database is expected."""
    parser = cli.parser("")
    parser.add_argument("--number")

    def refuse(options):
        raise UserError(text)

    for arguments in ([], [text], ["--debug"]):
        with pytest.raises(SystemExit) as ended:
            cli.run(refuse, parser, arguments)
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert shown.split(" dbname")[0] in said
        assert "ret" not in said


@pytest.mark.parametrize(("written", "named"), [
    ("/ro/.out.zarr.a1b2c3d4.partial/volumes/raw/.zarray", "/ro/out.zarr"), ("/ro/.raw.h5.partial", "/ro/raw.h5"),
    ("/ro/.scores.partial-77.png", "/ro/scores.png"),
    ("/ro/syn.partial-77.zarr/.zgroup", "/ro/syn.zarr"),
    ("/ro/.net.onnx.77", "/ro/net.onnx"),
    ("/ro/.train_net_checkpoint_5.77.weights.h5", "/ro/train_net_checkpoint_5.weights.h5"),
    ("/ro/.seg_edges_mean_40.npz.77.partial", "/ro/seg_edges_mean_40.npz"),
    ("/ro/out.zarr/.blockwise/predict", "/ro/out.zarr"), ("/ro/out.zarr", "/ro/out.zarr"),
    ("/home/me/.cache/a.zarr", "/home/me/.cache/a.zarr"),
])  # fmt: skip
def test_errors_name_the_place_and_not_what_is_written_beside_it(capsys, written, named):
    def command(options):
        raise PermissionError(errno.EACCES, "Permission denied", written)

    status, shown = end(command, capsys)
    assert status == 2
    assert shown.err.startswith(f"error: {named}: permission denied. Name a place")


def test_hdf5s_library_names_the_file_in_its_message(capsys, tmp_path):
    import h5py

    (tmp_path / "file").write_text("")

    def command(options):
        h5py.File(tmp_path / "file" / "raw.h5", "w")

    status, shown = end(command, capsys)
    assert (status, shown.err.startswith(f"error: {tmp_path}/file/raw.h5: not a directory.")) == (2, True), shown.err


def test_put_text_names_the_file(tmp_path):
    from lsd_experiments.writing import put_text

    with pytest.raises(FileNotFoundError) as error:
        put_text(tmp_path / "none" / "a.json", "")
    assert error.value.filename == str(tmp_path / "none" / "a.json")


@pytest.mark.parametrize(("number", "flush"), [(10**6, True), (9, False)], ids=["much", "at the end"])
@pytest.mark.parametrize("start", ["cli.run(lambda options: say(), cli.parser(None))", "with cli.described(None): say()"])
def test_output_that_nobody_reads_ends_quietly(number, flush, start):
    """As of ``| head``: whoever reads has gone before it is written."""
    code = f"from lsd_experiments import cli\ndef say(): print('a' * {number}, flush={flush})\n{start}"
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")
    read = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (read.returncode, len(read.stdout), read.stderr) == (0, number + 1, "")


def test_another_broken_pipe_is_an_error_of_ours(capsys):
    """Negative control: output is read."""
    def command(options):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        cli.run(command, cli.parser(None), [])
