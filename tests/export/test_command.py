"""The command export_checkpoint.py: what it makes, and what it refuses. tests/test_documentation.py runs the script itself."""

import subprocess
import sys

import onnx
import pytest
from safetensors.numpy import load_file

from lsd_experiments.errors import UserError
from lsd_experiments.export import command, exporting
from lsd_experiments.export.exporting import target

from .conftest import NETWORKS, random_model, save_checkpoint


@pytest.fixture
def setup(checkpoint_of):
    return checkpoint_of("small").path.parent


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command with these arguments; returns its status and what it printed, errors or else output."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["export_checkpoint.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.main("")
        printed = capsys.readouterr()
        return ended.value.code, printed.err if ended.value.code else printed.out

    return run


def test_it_exports_and_prints_the_file(run, setup, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(setup, "new/net.onnx") == (0, "new/net.onnx\n")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["net.onnx"]
    assert onnx.load("new/net.onnx").producer_name == "lsd-experiments"


def test_help_is_light():
    code = (
        "import sys; import lsd_experiments.export.command; "
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'onnx', 'safetensors', 'torch', 'h5py')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("out", "format", "expected"),
    [
        ("net.onnx", None, ("net.onnx", "onnx")),
        ("net.safetensors", None, ("net.safetensors", "torch")),
        ("net.onnx", "onnx", ("net.onnx", "onnx")),
        ("net", "onnx", ("net.onnx", "onnx")),
        ("net.v2", "torch", ("net.v2.safetensors", "torch")),
    ],
)
def test_the_suffix_says_the_format(tmp_path, out, format, expected):
    assert target(tmp_path / out, format) == (tmp_path / expected[0], expected[1])


@pytest.mark.parametrize(
    ("out", "format", "message"),
    [
        ("net.pt", None, r"net\.pt: its suffix says no format. End it in \.safetensors or \.onnx, or pass --format"),
        ("net.onnx", "torch", "is onnx by its suffix, and torch was asked for"),
        ("directory", "onnx", "directory.onnx: is a directory"),
    ],
)
def test_a_file_of_no_or_of_two_formats_is_refused(tmp_path, out, format, message):
    (tmp_path / "directory.onnx").mkdir()
    with pytest.raises(UserError, match=message):
        target(tmp_path / out, format)


def test_the_iteration_is_the_newest_or_the_one_that_is_named(run, setup, tmp_path):
    (tmp_path / "setup").mkdir()
    network = NETWORKS["small"]
    for iteration, scale in ((1, 1), (2, 2)):
        model = random_model(network)
        model.set_weights([weight * scale for weight in model.get_weights()])
        save_checkpoint(model, tmp_path / "setup", network, iteration, {})

    def exported(*arguments):
        status, printed = run(*arguments, "--format", "torch")
        assert (status, printed) == (0, f"{tmp_path}/net.safetensors\n")
        return load_file(tmp_path / "net.safetensors")["affs_0.weight"]

    first = exported(tmp_path / "setup", tmp_path / "net", "--checkpoint", 1)
    assert first.any()
    assert (exported(tmp_path / "setup", tmp_path / "net") == 2 * first).all()
    file = tmp_path / "setup/train_net_checkpoint_1.weights.h5"
    prefix = tmp_path / "setup/train_net_checkpoint_1"
    assert (exported(file, tmp_path / "net") == first).all()
    assert (exported(prefix, tmp_path / "net") == first).all()
    for source in (file, prefix):
        status, printed = run(source, tmp_path / "net", "--format", "torch", "--checkpoint", 2)
        assert (status, "is the checkpoint of iteration 1, not 2" in printed) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "net.onnx"], "nowhere: no such checkpoint. Name a directory, an .index or .weights.h5 file, or"),
        ([".", "net.onnx"], "no checkpoint (found: none)"),
        (["{setup}", "net.onnx", "--checkpoint", "8"], "no checkpoint of iteration 8 (found: 7)"),
        (["{setup}", "net.pt"], "its suffix says no format"),
        (["{setup}", "net.onnx", "--input-shape", "20", "20", "20"], "is not legal for this network"),
        (["{setup}", "net.safetensors", "--input-shape", "20", "20", "20"], "--input-shape is for ONNX"),
        (["{setup}", "/proc/net.onnx"], "/proc: "),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(run, setup, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, printed = run(*(argument.format(setup=setup) for argument in arguments))
    assert (status, printed.count("\n")) == (2, 1)
    assert printed.startswith("error: ")
    assert message in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("package", "out"), [("onnx", "net.onnx"), ("safetensors", "net.safetensors")])
def test_a_package_that_is_not_installed_is_named_with_its_remedy(run, setup, tmp_path, monkeypatch, package, out):
    monkeypatch.setitem(sys.modules, package, None)
    status, printed = run(setup, tmp_path / out)
    assert status == 2
    assert f"{package}, which writes it, is not installed" in printed
    assert "pip install --constraint constraints.txt --editable '.[export]'" in printed
    assert not list(tmp_path.iterdir())


def test_an_export_that_fails_leaves_the_older_file_and_nothing_else(run, setup, tmp_path, monkeypatch):
    out = tmp_path / "net.safetensors"
    out.write_text("older")

    def full(weights, metadata, path):
        path.write_text("half")
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(exporting, "write_safetensors", full)
        assert run(setup, out)[0] == 2
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("net.safetensors", "older")]
    assert run(setup, out)[0] == 0
    assert "affs_0.bias" in load_file(out)
