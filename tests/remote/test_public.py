"""``--raw-file hemibrain``: names of the paper's whole volumes, laid out alike on a server of this machine."""

import json

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.arrays.addresses import parse
from lsd_experiments.arrays.public import CATALOGUE, address_of
from lsd_experiments.errors import UserError
from lsd_experiments.fetching.catalogue import load_catalogue
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.prediction.plan import _absolute, _open_raw
from lsd_experiments.prediction.settings import PredictionSettings

VOLUMES = load_catalogue(CATALOGUE).volumes


@pytest.fixture
def hemibrain(google, trees):
    """A JPEG volume of 2**34 voxels an axis cut down to one chunk at its place; its voxels are of 8 nm."""
    place = trees / parse(VOLUMES["hemibrain"].address).path
    if not place.exists():
        (place / "8.0x8.0x8.0").mkdir(parents=True)
        scale = {"key": "8.0x8.0x8.0", "size": [34432, 39552, 41408], "chunk_sizes": [[64, 64, 64]], "resolution": [8, 8, 8],
                 "voxel_offset": [0, 0, 0], "encoding": "raw"}
        (place / "info").write_text(json.dumps({"type": "image", "data_type": "uint8", "num_channels": 1, "scales": [scale]}))
        chunk = np.random.default_rng(0).integers(1, 255, (64, 64, 64), np.uint8)
        (place / "8.0x8.0x8.0/17216-17280_19776-19840_20672-20736").write_bytes(chunk.tobytes())
    return google


def test_the_catalogue() -> None:
    assert set(VOLUMES) == {"zebrafinch", "zebrafinch-ffn", "fib25", "fib25-labels", "hemibrain", "hemibrain-labels"}
    for name, volume in VOLUMES.items():
        address = parse(volume.address)
        assert (address.kind, address.scheme, address.name) == ("precomputed", "gs", volume.address)
        assert address_of(name) == volume.address


def test_other_names_stand_for_themselves(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("hemibrain.zarr", "data/hemibrain", "Hemibrain", "gs://hemibrain", "hemi"):
        assert address_of(name) == name
    (tmp_path / "hemibrain").mkdir()
    assert address_of("hemibrain") == "hemibrain"
    with pytest.raises(UserError, match=r"hemibrain: a directory, but neither zarr, N5 nor precomputed"):
        open_volume("hemibrain")


def test_it_is_read_by_its_name(hemibrain, tmp_path, monkeypatch) -> None:
    """By a library call, as an option, in a configuration and a crop; each finds the same, and reads what is asked for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crop.json").write_text(json.dumps({"container": "hemibrain", "offset": [20672 * 8, 19776 * 8, 17216 * 8],
                                                    "size": [24, 32, 40]}))
    (tmp_path / "config.toml").write_text('setup = "fib25/aclsd"\nraw_file = "hemibrain"\nout_file = "out.zarr"\n'
                                          "[fragments]\nfragments_in_xy = true\n")
    config = load_pipeline(tmp_path / "config.toml")
    assert (config.raw_file, config.raw_dataset) == (VOLUMES["hemibrain"].address, "")
    settings = PredictionSettings("fib25/aclsd", "hemibrain", "out.zarr")
    assert _absolute(settings).raw_file == VOLUMES["hemibrain"].address
    hemibrain.asked.clear()
    raw = _open_raw(settings)
    assert raw.shape == (41408, 39552, 34432)
    assert raw.voxel_size == VOLUMES["hemibrain"].voxel_size
    assert raw.container == VOLUMES["hemibrain"].address
    assert len(hemibrain.asked) == 3
    part = open_volume("crop.json")
    values = part.read()
    assert values.shape == (3, 4, 5)
    assert values.all()
    assert open_volume(*part.place).read().tolist() == values.tolist()
