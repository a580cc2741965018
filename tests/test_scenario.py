"""Copies of experiments, and commands in them."""

import pytest

from lsd_experiments.datasets import load_dataset
from lsd_experiments.scenario import copy_experiment, environment, run_script
from tests.scripts import ROOT

MTLSD = ROOT / "02_train" / "synthetic" / "mtlsd"


@pytest.mark.parametrize("own", [False, True])
def test_a_copy_has_what_makes_an_experiment(tmp_path, own):
    """Its dataset's file may be in it; what was made there is left, and so are modes."""
    source = copy_experiment(MTLSD, tmp_path / "read" / "only")
    if own:
        (source.parent / "dataset.toml").rename(source / "dataset.toml")
    (source / "train_net_checkpoint_2.h5").touch()
    (source / "train.py").chmod(0o444)
    copied = copy_experiment(source, tmp_path / "copy" / "of_it")
    assert {path.name for path in copied.iterdir()} == {path.name for path in source.iterdir()} - {"train_net_checkpoint_2.h5"}
    assert load_dataset(copied).voxel_size == (20, 9, 9)
    (copied / "train.py").write_text("print(1 + 1)")
    assert run_script(copied, "train.py", capture_output=True).stdout == "2\n"


def test_commands_find_this_package_first(monkeypatch, tmp_path):
    (tmp_path / "lsd_experiments.py").write_text("raise SystemExit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import lsd_experiments; print(lsd_experiments.__path__)"
    assert str(ROOT / "lsd_experiments") in run_script(ROOT, "-c", code, capture_output=True).stdout
    assert environment(A="b")["A"] == "b"
