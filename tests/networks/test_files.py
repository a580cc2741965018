"""train_net.json and config.json, and the drawing that is printed with them."""

import dataclasses
import json

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Input, Network, read, write
from lsd_experiments.networks.drawing import draw

NETWORK = Network(
    12, 5, ((1, 3, 3), (1, 3, 3), (3, 3, 3)), (Head("lsds", 10, "embedding"), Head("affs", 3)), num_fmaps_out=14
)


def test_round_trip(tmp_path, capsys):
    network = dataclasses.replace(NETWORK, inputs=(Input("raw"), Input("lsds", 10)))
    write(network, "train_net", (84, 268, 268), tmp_path)
    found = read(tmp_path / "train_net.json")
    assert found.network == network
    assert found.input_shape == (84, 268, 268)
    assert [path.name for path in tmp_path.iterdir()] == ["train_net.json"]
    values = json.loads((tmp_path / "train_net.json").read_text())
    assert values["output_shape"] == [48, 56, 56]
    assert values["outputs"] == {
        "lsds": {"out_dims": 10, "out_dtype": "uint8"},
        "affs": {"out_dims": 3, "out_dtype": "uint8"},
    }
    assert draw(network, (84, 268, 268)) in capsys.readouterr().out


def test_an_illegal_shape_writes_nothing(tmp_path):
    with pytest.raises(UserError, match="nearest"):
        write(NETWORK, "train_net", (84, 268, 269), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_output_shape_of_a_file_is_not_trusted(tmp_path):
    write(NETWORK, "config", (96, 484, 484), tmp_path)
    change(tmp_path / "config.json", lambda values: values.update(output_shape=[78, 434, 434]))  # as aclsd's published one
    found = read(tmp_path / "config.json")
    assert found.network.output_shape(found.input_shape) == (60, 272, 272)


def change(path, how):
    values = json.loads(path.read_text())
    how(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda v: v["network"].update(num_fmap=3), "unknown key 'num_fmap'; did you mean 'num_fmaps'"),
        (lambda v: v["network"].pop("heads"), "'heads' is missing"),
        (lambda v: v["network"].update(num_fmaps="twelve"), "num_fmaps is 'twelve'"),
        (lambda v: v["network"]["heads"][0].update(chanels=3), "chanels"),
        (lambda v: v.pop("network"), "'network' is missing"),
        (lambda v: v.pop("input_shape"), "'input_shape' is missing"),
        (lambda v: v.update(input_shape=[84, 268]), "not a network file"),
        (lambda v: v.update(input_shape=[84, "x", 268]), "not a network file"),
        (lambda v: v.update(input_shape=[84, 269, 268]), "nearest: 268 or 295"),
        (lambda v: v.update(network=None), "not a network file"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path, how, message):
    write(NETWORK, "train_net", (84, 268, 268), tmp_path)
    path = tmp_path / "train_net.json"
    read(path)
    change(path, how)
    with pytest.raises(UserError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)


def test_a_half_written_and_a_missing_file(tmp_path):
    write(NETWORK, "train_net", (84, 268, 268), tmp_path)
    path = tmp_path / "train_net.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(UserError, match=r"not a network file.*Run mknet.py"):
        read(path)
    with pytest.raises(UserError, match=r"no such file. Run mknet.py"):
        read(tmp_path / "config.json")


def test_drawing_shows_every_layer_at_the_depth_of_its_level():
    lines = draw(NETWORK, (84, 268, 268)).splitlines()
    assert lines[0] == "raw 1 x 84 x 268 x 268"
    row = {line.split()[0]: line for line in lines[1:-1]}
    assert row["unet_layer_0_left_0"].startswith("unet_layer_0_left_0 -> 12 x 82 x 266 x 266 ")
    assert row["unet_layer_3_left_1"].startswith(" " * 12 + "unet_layer_3_left_1 -> 1500 x 20 x 4 x 4 ")
    assert row["unet_up_1_to_0"].startswith("unet_up_1_to_0 -> 12 x 52 x 60 x 60 ")
    assert f"{27 * 1500 * 1500 + 1500:,} parameters" in row["unet_layer_3_left_1"]
    assert sum("pool" in line for line in lines) == 3
    assert "    pool 1 x 3 x 3 -> 80 x 88 x 88" in lines
    crops = [line.strip() for line in lines if "crop" in line]
    assert crops[-1] == "crop 80 x 264 x 264 and concatenate [left, up] -> 24 x 52 x 60 x 60"
    assert lines[-1].startswith("84 x 268 x 268 -> 48 x 56 x 56, context 36 x 212 x 212; 95,856,355 parameters; ")
    assert "GFLOP per block" in lines[-1]
