"""02_train/plan.py: what it writes, says and refuses."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tifffile

from lsd_experiments import networks
from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.families.lsd.planning import design, limiting
from lsd_experiments.families.lsd.planning.files import LABELS
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.training.data import open_sample
from tests.planning.conftest import INSIDE, OFFSET, SHAPE, VOXEL_SIZE, ids
from tests.scripts import ROOT, environment, run_script

SMALL = ("--memory", "0.1")


class Quiet(SimpleHTTPRequestHandler):
    """Gives files, and lists no directory."""

    def log_message(self, *_):
        pass

    def list_directory(self, _):
        self.send_error(404)


def everything(directory):
    return sorted(path.relative_to(directory) for path in directory.rglob("*"))


def test_what_is_written(plan, container, values, capsys):
    """Names are found by what they say; labels keep their place; the part that is kept lies inside of them."""
    directory = plan("--raw", container, "--labels", container, *SMALL)
    said = capsys.readouterr()
    dataset = load_dataset(directory / "mtlsd")
    assert (dataset.name, dataset.voxel_size, dataset.directory) == ("mylab", VOXEL_SIZE, directory)
    volume = str(directory / "volume.json")
    raw, labels = open_volume(volume, dataset.raw), open_volume(volume, dataset.labels)
    assert (raw.place[1], raw.dataset, labels.dataset) == ("volumes/raw", "em/raw", "cells/ids")
    assert labels.offset == tuple(o + n * v for o, n, v in zip(OFFSET, INSIDE, VOXEL_SIZE, strict=True))
    np.testing.assert_array_equal(raw.read(), values[0])
    assert open_sample(dataset, volume).labels_mask.dataset == "cells/mask"
    (kept,) = dataset.validation
    assert (kept.offset, kept.size) == ((120, 27, 90 + 9 * 66), (27 * 24, 65 * 9, 14 * 9))  # a fifth of 72 voxels along x
    assert open_volume(directory / "kept.json").read().tolist() == labels.read()[:, :, 58:].tolist()
    config = load_pipeline(directory / "predict.toml")
    assert (config.setup, config.raw_file, config.evaluate.labels_file) == (str(directory / "mtlsd"), volume, volume)
    assert config.evaluate.region == (kept.offset, kept.size)
    assert config.fragments.fragments_in_xy
    assert config.iteration == "best"
    assert "raw         " in said.out
    assert "sigma             50 nm" in said.out
    assert "pooling           1 x 2 x 2, 1 x 2 x 2" in said.out
    assert f"{directory}/predict.toml" in said.out.splitlines()
    assert (directory / "plan.txt").read_text() in said.out


def test_a_mask_counts_where_it_is_named(plan, container):
    """Not one of the usual name that lies beside labels which were named without it."""
    mask = create_volume(str(container), "volumes/labels/labels_mask", (27, 65, 72), VOXEL_SIZE, (120, 27, 162), np.uint8)
    directory = plan("--raw", container, "em/raw", "--labels", container, "cells/ids", "--mask", container, "cells/mask", *SMALL)
    path = directory / "volume.json"
    assert open_sample(load_dataset(directory), str(path)).labels_mask.dataset == "cells/mask" != mask.dataset
    stored = json.loads(path.read_text())
    del stored["datasets"]["volumes/labels/labels_mask"]
    path.write_text(json.dumps(stored))
    assert open_sample(load_dataset(directory), str(path)).labels_mask is None


def test_the_experiments(plan, container):
    """They run; what differs between two of them is the targets, and the heads."""
    directory = plan("--raw", container, "--labels", container, *SMALL)
    heads = {variant: [(head.name, head.channels) for head in networks.read(directory / variant / "train_net.json").network.heads]
             for variant in ("baseline", "mtlsd", "long_range")}
    assert heads == {"baseline": [("affs", 3)], "mtlsd": [("lsds", 10), ("affs", 3)], "long_range": [("affs", 9)]}
    train = {variant: (directory / variant / "train.py").read_text().splitlines() for variant in heads}
    assert [line for line in train["mtlsd"] if line not in train["baseline"]][2:] == [
        "        LocalShapeDescriptors(sigma=50, counted=\"labels_mask\"),  # nm: two fifths of an object's width"]
    for variant in heads:
        known = run_script("-c", "import train; e = train.EXPERIMENT; from lsd_experiments import networks; "
                           "e.check_network(networks.read(e.network).network); print(e.boundary_axes)", cwd=directory / variant)
        assert known.stdout == "(1, 2)\n", known.stderr


def test_volumes_that_say_nothing(plan, sections, values):
    """The voxel size that is given serves wherever the plan's volume is opened."""
    raw, labels = sections
    directory = plan("--raw", raw, "--labels", labels, "--voxel-size", 24, 9, 9, *SMALL)
    for name, expected in (("volumes/raw", values[0]), (LABELS, values[1])):
        volume = open_volume(directory / "volume.json", name)
        assert (volume.voxel_size, volume.offset) == (VOXEL_SIZE, (0, 0, 0))
        np.testing.assert_array_equal(volume.read(), expected)
    with pytest.raises(UserError, match=r"--raw .*sections: stores no voxel size. Say .* by --voxel-size Z Y X"):
        plan("--raw", raw, "--labels", labels, name=directory.parent / "other")


def test_labels_that_do_not_say_where_they_lie(plan, container, sections, tmp_path, values):
    """As large as raw, they begin where it does; of a part, they begin where is said."""
    raw, labels = ("--raw", container, "em/raw"), sections[1]
    whole = plan(*raw, "--labels", labels, *SMALL)
    assert open_volume(whole / "volume.json", LABELS).offset == OFFSET
    np.save(labels, values[1][5:25, 10:])
    with pytest.raises(UserError, match=r"20 x 60 x 80 voxels .* beside raw of 30 x 70 x 80. Say .* by --labels-offset Z Y X"):
        plan(*raw, "--labels", labels, name=tmp_path / "part")
    part = plan(*raw, "--labels", labels, "--labels-offset", 48 + 5 * 24, -18 + 10 * 9, 90, *SMALL, name=tmp_path / "part")
    assert open_volume(part / "volume.json", LABELS).offset == (168, 72, 90)
    np.save(labels, values[1].transpose(2, 1, 0))
    with pytest.raises(UserError, match=r"its axes are in another order, y, x, z|its axes are in another order, x, y, z"):
        plan(*raw, "--labels", labels, name=tmp_path / "turned")


def test_labels_as_large_as_raw_at_another_place(plan, container, tmp_path, values, capsys):
    """A stack that says its voxel size, but no offset, begins at 0, which may be in raw: that is said, unless it is asked for."""
    labels = tmp_path / "labels.tif"
    tifffile.imwrite(labels, values[1].astype(np.uint16), imagej=True, resolution=(1000 / 9, 1000 / 9),
                     metadata={"spacing": 0.024, "unit": "um", "axes": "ZYX"})
    words = ("--raw", container, "em/raw", "--labels", labels)
    plan(*words, *SMALL)
    said = (": as large as raw, and begins at (0, 0, 0) nm, raw at (48, -18, 90) nm. If they are the same place: "
            "--labels-offset 48 -18 90\n")
    assert said in capsys.readouterr().err
    for given in ((48, -18, 90), (0, 0, 0)):
        plan(*words, "--labels-offset", *given, *SMALL, "--overwrite")
        assert "as large as raw" not in capsys.readouterr().err


def test_another_voxel_size_than_the_stored_one_counts(plan, container, capsys):
    directory = plan("--raw", container, "em/raw", "--labels", container, "cells/ids", "--voxel-size", 12, 9, 9, *SMALL)
    assert "says that its voxels are (24, 9, 9) nm; --voxel-size counts" in capsys.readouterr().err
    assert load_dataset(directory).voxel_size == (12, 9, 9)


def change(container, name, function):
    volume = open_volume(container, name, writable=True)
    volume.write(volume.box, function(volume.read()))


@pytest.mark.parametrize(("name", "function", "warning"), [
    ("em/raw", lambda raw: raw // 8 + 100, "faint, from 103 to 123: dataset.toml stretches it"),
    ("em/raw", lambda raw: np.concatenate([raw[:9], raw[8:9], raw[10:]]), "1 of 27 sections that were looked at are a copy of "
     "the one before: 9"),
    ("cells/ids", lambda labels: np.where(labels % 10 < 3, labels, 0), "are 0, background, which training takes for true"),
    ("cells/ids", lambda labels: np.where(labels > 0, 1 + labels % 2, 0), "holds 2 id(s) beside 0. Is it a mask"),
    ("cells/ids", lambda labels: np.random.default_rng(0).integers(1, 99, labels.shape, np.uint64), "Is it raw, not labels?"),
    ("cells/ids", lambda labels: np.where(labels == 412, 322, labels), "1 object(s) are parts that do not touch: 322"),
    ("cells/ids", lambda labels: np.where(labels == 412, 2**64 - 1, labels), "are 18446744073709551615, the greatest id of "
     "uint64, which programs write for background, and training takes for an object. If it is none: convert.py --exclude 184467"),
])
def test_what_is_warned_of(plan, container, capsys, name, function, warning):
    change(container, name, function)
    directory = plan("--raw", container, "em/raw", "--labels", container, "cells/ids", *SMALL)
    assert warning in capsys.readouterr().err
    assert (load_dataset(directory).raw_range is not None) == warning.startswith("faint")


def test_voxels_that_are_not_alike_in_a_section(plan, sections, capsys):
    """Nothing exchanges y and x then."""
    directory = plan("--raw", sections[0], "--labels", sections[1], "--voxel-size", 24, 9, 10, *SMALL)
    assert "voxels of 24 x 9 x 10 nm are not alike along y and x" in capsys.readouterr().err
    assert "partial(isotropic, control_point_spacing=(4, 36, 32), jitter_sigma=(0, 2, 2), transpose_only=())" in \
        (directory / "mtlsd" / "train.py").read_text()


def test_good_data_are_not_warned_of(plan, container, capsys):
    plan("--raw", container, "--labels", container, *SMALL)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(("name", "function", "message"), [
    ("cells/ids", np.zeros_like, r"cells/ids: all labels are 0 where the labels mask counts: .*\. Name other labels$"),
    ("cells/ids", np.ones_like, r"all labels are 1 .*: no object ends"),
    ("em/raw", np.ones_like, r"em/raw: all that was looked at is 1: raw of one value shows nothing. Name another dataset$"),
])
def test_what_nothing_can_be_learned_from(plan, container, tmp_path, name, function, message):
    change(container, name, function)
    before = everything(tmp_path)
    with pytest.raises(UserError, match=message):
        plan("--raw", container, "--labels", container)
    assert everything(tmp_path) == before


@pytest.mark.parametrize(("arguments", "message"), [
    (("--raw", "{}/all.zar", "--labels", "{}/all.zarr"), r"--raw .*/all.zar: no such file or directory. Correct the path"),
    (("--raw", "{}/all.zarr", "--labels", "{}/labels.h5"), r"--labels .*/labels.h5: no such file or directory"),
    (("--raw", "{}/all.zarr", "em/rav", "--labels", "{}/all.zarr"), r"no dataset 'em/rav'; did you mean 'em/raw'"),
    (("--raw", "{}/all.zarr", "-", "--labels", "{}/all.zarr"), r"name one of its datasets. It holds cells/ids, cells/mask"),
    (("--raw", "{}/all.zarr", "cells/ids", "x", "--labels", "{}/all.zarr"), r"--raw: .* are 3 words"),
    (("--raw", "{}/all.zarr", "--labels", "{}/all.zarr", "--memory", "0.001"), r"--memory 0.001: the smallest network takes"),
    (("--raw", "{}/all.zarr", "--labels", "{}/all.zarr", "--labels-offset", "9e9", "0", "0"), r"do not overlap"),
])
def test_what_is_refused_leaves_nothing(plan, container, tmp_path, arguments, message):
    before = everything(tmp_path)
    with pytest.raises(UserError, match=message):
        plan(*(word.format(container.parent) for word in arguments))
    assert everything(tmp_path) == before


def test_two_that_may_be_raw(plan, container):
    for name in ("em/raw_2", "cells/ids_2"):
        create_volume(str(container), name, SHAPE, VOXEL_SIZE, OFFSET, np.uint8)
    with pytest.raises(UserError, match=r"which of its datasets is raw\? .* Name it behind the container: --raw .* DATASET"):
        plan("--raw", container, "--labels", container)


def test_two_at_once(plan, container, tmp_path, monkeypatch):
    """The one that ends later does not write over what the other has written."""
    words = ("--raw", container, "em/raw", "--labels", container, "cells/ids", *SMALL)
    found = design.make_plan

    def faster(*arguments):
        monkeypatch.setattr(design, "make_plan", found)
        plan(*words)
        return found(*arguments)

    monkeypatch.setattr(design, "make_plan", faster)
    with pytest.raises(UserError, match=r"mylab: is there already"):
        plan(*words, "--voxel-size", 12, 9, 9)
    assert load_dataset(tmp_path / "mylab").voxel_size == VOXEL_SIZE
    assert [path.name for path in tmp_path.iterdir() if path.name[0] == "."] == []


def test_others_may_read_what_is_written(plan, container, tmp_path):
    """As other new directories: a group works in one checkout."""
    (tmp_path / "like").mkdir()
    directory = plan("--raw", container, "em/raw", "--labels", container, "cells/ids", *SMALL)
    modes = {path.stat().st_mode for path in (directory, *directory.rglob("*")) if path.is_dir()}
    assert modes == {(tmp_path / "like").stat().st_mode}


def test_nothing_is_written_over_unless_asked(plan, container, tmp_path):
    directory = plan("--raw", container, "--labels", container, *SMALL)
    (directory / "mtlsd" / "train_net_checkpoint_7.weights.h5").write_text("trained")
    (directory / "dataset.toml").write_text("mine")
    with pytest.raises(UserError, match=r"mylab: is there already. Name another dataset, or pass --overwrite"):
        plan("--raw", container, "--labels", container, *SMALL)
    assert (directory / "dataset.toml").read_text() == "mine"
    plan("--raw", container, "--labels", container, *SMALL, "--overwrite")
    assert load_dataset(directory).name == "mylab"
    assert (directory / "mtlsd" / "train_net_checkpoint_7.weights.h5").read_text() == "trained"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dataset.toml").write_text("published")
    with pytest.raises(UserError, match=r"other: was not written by plan.py, and is not written over"):
        plan("--raw", container, "--labels", container, "--overwrite", name=tmp_path / "other")


def test_labels_that_are_too_many(plan, container, monkeypatch, capsys):
    """Of these the part of a place that is labelled is taken, and its mask; of raw that is large the same part is predicted."""
    monkeypatch.setattr(limiting, "LARGEST", 20_000)
    monkeypatch.setattr(limiting, "SIDE", 8)
    monkeypatch.setattr(design, "LARGE", 100_000)
    change(container, "cells/ids", lambda labels: np.where(np.arange(72) < 36, 0, labels))
    directory = plan("--raw", container, "em/raw", "--labels", container, "cells/ids", *SMALL)
    raw, labels, mask = (open_volume(directory / "volume.json", name)
                         for name in ("volumes/raw", LABELS, "volumes/labels/labels_mask"))
    assert "27 x 65 x 72 voxels are more than training holds: of them 14 x 37 x 37 are taken" in capsys.readouterr().err
    assert (raw.shape, labels.shape, mask.shape, mask.offset) == (SHAPE, (14, 37, 37), (14, 37, 37), labels.offset)
    assert (labels.read() > 0).mean() > 0.6
    config = load_pipeline(directory / "predict.toml")
    assert config.predict.roi_offset == labels.offset
    assert [n // v for n, v in zip(config.predict.roi_shape, VOXEL_SIZE, strict=True)] == [*labels.shape]


def test_raw_that_is_empty_where_labels_are(plan, container):
    change(container, "em/raw", lambda raw: np.where(np.arange(30)[:, None, None] < 3, raw, 0))
    with pytest.raises(UserError, match=r"em/raw: all sections that were looked at, where there are labels, are of one value"):
        plan("--raw", container, "em/raw", "--labels", container, "cells/ids", *SMALL)


def test_volumes_of_a_server_that_lists_nothing(plan, container):
    """Their datasets are named; a mask is found by its usual name alone."""
    mask = create_volume(str(container), "volumes/labels/labels_mask", (27, 65, 72), VOXEL_SIZE, (120, 27, 162), np.uint8)
    mask.write(mask.box, np.ones(mask.shape, np.uint8))
    handler = partial(Quiet, directory=container.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{container.name}"
        with pytest.raises(UserError, match=r"its server does not list what is there. Name the dataset"):
            plan("--raw", address, "--labels", address, "cells/ids", *SMALL)
        directory = plan("--raw", address, "em/raw", "--labels", address, "cells/ids", *SMALL)
        assert json.loads((directory / "volume.json").read_text())["datasets"] == {
            "volumes/raw": {"container": address, "dataset": "em/raw"}, LABELS: {"container": address, "dataset": "cells/ids"},
            "volumes/labels/labels_mask": {"container": address, "dataset": "volumes/labels/labels_mask"}}
        server.shutdown()


def test_by_its_name_it_goes_to_02_train_and_03_predict(plan, container, tmp_path):
    plan("--raw", container, "--labels", container, *SMALL, name="mylab")
    config = load_pipeline(tmp_path / "03_predict" / "mylab.toml")
    assert (config.setup, config.out_file) == (str(tmp_path / "02_train/mylab/mtlsd"), str(tmp_path / "03_predict/mylab.zarr"))
    for name in ("a/b", "..", "a/../b"):
        with pytest.raises(UserError, match=r"a dataset is called by one word|is there already"):
            plan("--raw", container, "--labels", container, name=name)


@pytest.mark.parametrize("fifths", [(0, 0, 0, 1, 1), (1, 1, 0, 0, 1)])
def test_the_part_that_is_kept_is_labelled(plan, tmp_path, fifths):
    """Labels end in x where they are 0; then their beginning is kept, or the end of another axis."""
    labels = ids((30, 70, 80))
    for number, is_empty in enumerate(fifths):
        labels[:, :, 16 * number : 16 * number + 16] *= np.uint64(not is_empty)
    path = tmp_path / "a.zarr"
    for name, array in (("raw", np.random.default_rng(0).integers(0, 255, labels.shape).astype(np.uint8)), ("labels", labels)):
        volume = create_volume(str(path), name, array.shape, VOXEL_SIZE, OFFSET, array.dtype)
        volume.write(volume.box, array)
    kept = open_volume(plan("--raw", path, "--labels", path, *SMALL) / "kept.json")
    assert (kept.read() > 0).mean() > 0.2
    assert kept.shape == ((30, 70, 16) if fifths[0] == 0 else (30, 14, 80))


def test_interrupted_it_leaves_nothing(container, tmp_path):
    """Ctrl-C while it works."""
    words = [sys.executable, "plan.py", str(tmp_path / "mylab"), "--raw", str(container), "em/raw", "--labels", str(container),
             "cells/ids"]
    process = subprocess.Popen(words, cwd=ROOT / "02_train", env=environment(), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".mylab*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr.read().strip().splitlines()[-1] == "interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_volume_stands_for_itself(plan, container):
    """By its full path, so that the plan may be anywhere."""
    directory = plan("--raw", container, "--labels", container, *SMALL)
    stored = json.loads((directory / "volume.json").read_text())["datasets"]
    assert {crop["container"] for crop in stored.values()} == {str(container)}
