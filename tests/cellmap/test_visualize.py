"""What csc visualize shows, and its pictures."""

import json
import signal
import subprocess
import sys
import urllib.parse
import urllib.request

import numpy as np
import pytest

from lsd_experiments.families.cellmap.manifest import write_manifest
from lsd_experiments.families.cellmap.showing import find_shown, on_grid, views_of
from lsd_experiments.families.cellmap.synthetic import LABELS, RAW, put_image
from lsd_experiments.viewing import make_viewer
from tests.cellmap.small import BEGIN, VOXEL, boxes, put, target
from tests.cellmap.test_command import csc
from tests.scripts import environment

SHAPE = (12, 14, 16)
PATTERNS = {"gt": "data/{dataset}/{dataset}.zarr/recon-1/labels/groundtruth/{crop}",
            "processed": "data/processed/{dataset}.zarr/{crop}", "predictions": "data/predictions/{dataset}.zarr/{crop}",
            "submission": "data/submission.zarr/{crop}"}
RAW_AT = "data/{dataset}/{dataset}.zarr/recon-1/em/fibsem-uint8"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One of all kinds: the crop is a part of raw, whose voxels are half as long along y and x."""
    root = tmp_path_factory.mktemp("visualize")
    raw = np.random.default_rng(0).integers(0, 256, (20, 60, 60), np.uint8)
    container = root / "data/made/made.zarr"
    begin = tuple(b - 4 * v for b, v in zip(BEGIN, VOXEL, strict=True))
    put_image(container, RAW, raw, (VOXEL[0], VOXEL[1] / 2, VOXEL[2] / 2), begin)
    put_image(container, f"{LABELS}/crop7/mito", boxes().astype(np.uint32), VOXEL, BEGIN)
    put_image(container, f"{LABELS}/crop7/er", (boxes() == 1).astype(np.uint8), VOXEL, BEGIN)
    put(root / "data/predictions/made.zarr", mito=np.where(boxes() > 0, 2, -2).astype(np.float16))
    put(root / "data/processed/made.zarr", mito=boxes()[::-1].astype(np.uint32), er=(boxes() == 1).astype(np.uint8))
    put(root / "data/submission.zarr", mito=boxes())
    write_manifest(root / "data/test_crop_manifest.csv", [target("mito", SHAPE)])
    return root


def test_raw_is_first_and_instances_are_segmentations(place, monkeypatch):
    monkeypatch.chdir(place)
    views = views_of(find_shown(PATTERNS, RAW_AT, known={"crop7": "made"}))["made"]
    kinds = {view.name: view.kind.value for view in views}
    assert next(iter(kinds)) == "raw"
    assert kinds == {"raw": "raw", "crop7/gt/mito": "labels", "crop7/gt/er": "mask", "crop7/predictions/mito": "raw",
                     "crop7/processed/mito": "labels", "crop7/processed/er": "mask", "crop7/submission/mito": "labels"}
    assert {view.volume.offset for view in views[1:]} == {BEGIN}
    layers = make_viewer(views).state.layers
    assert {layer.name: layer.type for layer in layers}["crop7/submission/mito"] == "segmentation"
    assert len([view for view in views if view.visible]) == 5  # raw, and one of each kind


def test_names_choose(place, monkeypatch, caplog):
    monkeypatch.chdir(place)
    shown = find_shown({"gt": PATTERNS["gt"]}, RAW_AT, ["ma*"], ["crop7"], ["er"])
    assert [one.name for one in shown] == ["raw", "crop7/gt/er"]
    assert not caplog.messages
    find_shown({"gt": PATTERNS["gt"]}, RAW_AT, ["ma*", "jrc"], ["crop7", "crop8", "crop9"], ["er", "mit"], {"crop9": "made"})
    assert caplog.messages == [f"not shown: there is no {name}" for name in ("jrc", "crop8; did you mean 'crop7'?", "mit")]


def test_a_section_on_other_voxels(place, monkeypatch):
    monkeypatch.chdir(place)
    raw, labels = (one.volume for one in find_shown({"gt": PATTERNS["gt"]}, RAW_AT, classes=["mito"]))
    section = on_grid(raw, labels, 5)
    assert np.array_equal(section, raw.read()[9, 9:9 + 2 * 14:2, 9:9 + 2 * 16:2])  # each centre is where a voxel of raw begins
    assert np.array_equal(on_grid(labels, labels, 5), boxes()[5])


def test_pictures_of_each_crop_and_class(place, monkeypatch, tmp_path, capsys):
    from matplotlib import image

    monkeypatch.chdir(place)
    csc("visualize", "--pictures", tmp_path / "a", "--section", 8)
    written = capsys.readouterr().out.split()
    assert [name.rpartition("/")[2] for name in written] == ["made_crop7_er.png", "made_crop7_mito.png"]
    csc("visualize", "--pictures", tmp_path / "b", "--section", 3, "-C", "mito", "-k", "gt,predictions")
    first, second = (image.imread(tmp_path / name / "made_crop7_mito.png") for name in "ab")
    assert first.shape != second.shape  # five panels, and three
    csc("visualize", "--pictures", tmp_path / "c", "--section", 12, status=2)
    assert "has sections 0 to 11" in capsys.readouterr().err


def start(place, *words):
    command = [sys.executable, "-m", "lsd_experiments.families.cellmap", "visualize", *words]
    return subprocess.Popen(command, cwd=place, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_it_serves_until_ctrl_c(place):
    process = start(place, "-k", "gt", "--link")
    try:
        state = json.loads(urllib.parse.unquote(process.stdout.readline()).split("#!")[1])
        assert [(layer["name"], layer["type"]) for layer in state["layers"]] == [
            ("raw", "image"), ("crop7/gt/er", "image"), ("crop7/gt/mito", "segmentation")]
        url = "http" + state["layers"][2]["source"][0]["url"].partition("http")[2]
        with urllib.request.urlopen(f"{url.rstrip('/')}/.zattrs", timeout=20) as answer:
            assert "multiscales" in json.loads(answer.read())
    finally:
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1].endswith("interrupted\n")
        assert process.returncode == 130


@pytest.mark.parametrize(("arguments", "message"), [
    (["-k", "prediction"], "'prediction' is none of gt, predictions"), (["-c", "9"], "nothing to show: no gt, predictions"),
    (["-C", "golgi"], "nothing to show"), (["-d", "other"], "nothing to show"), (["--port", "99999"], "there is no such port"),
    (["--bind-address", "no.such.host.invalid"], "cannot be resolved"), (["--section", "-1"], "-1 is below 0"),
    (["--predictions-path", "x"], "has no {crop}"), (["-c", "test", "-m", "none.csv"], "no such manifest"),
    (["--link", "-k", "processed", "-s", "none/{dataset}/{dataset}.zarr/{name}"], "none of these is OME-Zarr"),
    (["--pictures", "data/submission.zarr/.zgroup/x"], "not a directory"),
])
def test_mistakes(place, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(place)
    csc("visualize", *arguments, status=2)
    told = capsys.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
