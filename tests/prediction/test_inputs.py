"""The same values give the same prediction, whatever format and type they are stored in."""

import json
import warnings

import boto3
import h5py
import numpy as np
import pytest
import tifffile
import zarr
from moto.server import ThreadedMotoServer

from lsd_experiments.arrays import create_volume, open_volume, s3
from lsd_experiments.blockwise import Workers
from lsd_experiments.geometry import Box
from lsd_experiments.prediction.blockwise import predict_blockwise, predict_scan
from tests.remote.server import Server

SHAPE = (4, 9, 11)
RESOLUTION, OFFSET = [50, 9, 4.6], [100, -27, 13.8]


@pytest.fixture(scope="module")
def values(make_raw):
    return open_volume(make_raw(SHAPE), "volumes/raw").read()


def zarr_of(dtype, scale):
    def write(directory, values):
        volume = create_volume(directory / "raw.zarr", "volumes/raw", SHAPE, RESOLUTION, OFFSET, dtype)
        volume.write(volume.box, (values * np.dtype(dtype).type(scale)).astype(dtype))
        return directory / "raw.zarr"
    return write


def float_zarr(directory, values):
    volume = create_volume(directory / "raw.zarr", "volumes/raw", SHAPE, RESOLUTION, OFFSET, "float32")
    volume.write(volume.box, values.astype(np.float32) / 255)
    return directory / "raw.zarr"


def hdf5(directory, values):
    with h5py.File(directory / "raw.h5", "w") as file:
        dataset = file.create_dataset("volumes/raw", data=values, chunks=(2, 4, 8), compression="gzip")
        dataset.attrs.update({"resolution": RESOLUTION, "offset": OFFSET})
    return directory / "raw.h5"


def tiff(directory, values):
    """Says nothing of its place: the crop does of its voxel size, and the offset is 0."""
    tifffile.imwrite(directory / "raw.tif", values, photometric="minisblack")
    (directory / "raw.json").write_text(json.dumps({"container": "raw.tif", "voxel_size": RESOLUTION}))
    return directory / "raw.json"


def n5(directory, values):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        root = zarr.open_group(zarr.N5Store(str(directory / "raw.n5")), mode="w")
    dataset = root.create_dataset("volumes/raw", data=values, chunks=(2, 4, 8))
    dataset.attrs.put({"resolution": RESOLUTION[::-1], "offset": OFFSET[::-1]})  # N5 is x, y, z
    return directory / "raw.n5"


def ome_zarr(directory, values):
    root = zarr.open_group(zarr.DirectoryStore(str(directory / "raw.zarr")), mode="w")
    group = root.create_group("volumes/raw")
    group.create_dataset("s0", data=values.repeat(2, 1), chunks=(2, 8, 8))
    group.create_dataset("s1", data=values, chunks=(2, 4, 8))
    levels = [{"path": path, "coordinateTransformations": [{"type": "scale", "scale": scale},
                                                           {"type": "translation", "translation": OFFSET}]}
              for path, scale in (("s0", [50, 4.5, 4.6]), ("s1", RESOLUTION))]
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    group.attrs.put({"multiscales": [{"version": "0.4", "axes": axes, "datasets": levels}]})
    return directory / "raw.zarr"


@pytest.fixture
def wanted(values, expected):
    return expected(values)


@pytest.mark.parametrize(("write", "dataset"), [
    (zarr_of("uint16", 257), None), (float_zarr, None), (hdf5, None), (tiff, None), (n5, None), (ome_zarr, "volumes/raw/s1"),
], ids=["uint16", "float", "HDF5", "TIFF", "N5", "OME-Zarr"])
def test_formats_and_types(write, dataset, values, wanted, plan, read, tmp_path):
    planned = plan(write(tmp_path, values), raw_dataset=dataset)
    assert planned.offset == pytest.approx(planned.inputs["raw"].offset)
    assert write is tiff or planned.inputs["raw"].offset == pytest.approx(OFFSET, abs=5)  # OME-Zarr counts from voxels' centres
    predict_scan(planned)
    given = read(tmp_path / "prediction.zarr")
    for name, prediction in wanted.items():
        np.testing.assert_array_equal(given[name], prediction)


def crop(directory, values):
    """A part of a larger volume; what lies around it there is not read."""
    begin = (2, 3, 4)
    volume = create_volume(directory / "whole.zarr", "volumes/raw", [s + 9 for s in SHAPE], RESOLUTION, OFFSET, "uint8")
    volume.write(volume.box, np.full(volume.shape, 128, np.uint8))
    volume.write(Box.of_shape(SHAPE, begin), values)
    (directory / "crop.json").write_text(json.dumps({
        "container": "whole.zarr", "offset": [o + b * v for o, b, v in zip(OFFSET, begin, RESOLUTION, strict=True)],
        "size": [s * v for s, v in zip(SHAPE, RESOLUTION, strict=True)]}))
    return directory / "crop.json"


@pytest.mark.parametrize("write", [hdf5, crop], ids=["HDF5", "crop"])
def test_workers_open_what_the_scan_does(write, values, wanted, plan, read, tmp_path):
    raw = write(tmp_path, values)
    scanned, worked = tmp_path / "scanned.zarr", tmp_path / "worked.zarr"
    assert predict_scan(plan(raw, scanned))
    assert predict_blockwise(plan(raw, worked), Workers(num_workers=1))
    for name, prediction in wanted.items():
        np.testing.assert_array_equal(read(worked)[name], read(scanned)[name])
        np.testing.assert_array_equal(read(worked)[name], prediction)
        assert prediction.std() > 10


def test_the_pipelines_raw_file_may_be_a_crop(values, wanted, setup, read, tmp_path, monkeypatch):
    """What the stage plans, predicted in this process; workers are tested above."""
    from lsd_experiments.pipeline.configuration import load_pipeline
    from lsd_experiments.pipeline.plans import prediction_settings
    from lsd_experiments.prediction.plan import make_plan

    crop(tmp_path, values)
    (tmp_path / "config.toml").write_text(
        f'setup = "{setup}"\nraw_file = "crop.json"\nout_file = "out.zarr"\n[fragments]\nfragments_in_xy = true\n')
    monkeypatch.chdir("/")  # paths are relative to the config, and the crop's container to the crop
    predict_scan(make_plan(prediction_settings(load_pipeline(tmp_path / "config.toml"))))
    given = read(tmp_path / "out.zarr")
    for name, prediction in wanted.items():
        np.testing.assert_array_equal(given[name], prediction)


def test_the_range_matters(values, wanted, plan, read, tmp_path):
    """Negative control: uint16 that is not scaled to its range gives something else."""
    predict_scan(plan(zarr_of("uint16", 1)(tmp_path, values)))
    assert not np.array_equal(read(tmp_path / "prediction.zarr")["affs"], wanted["affs"])


def test_s3(make_raw, wanted, plan, read, tmp_path, monkeypatch):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3._filesystem.cache_clear()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", aws_access_key_id="a",
                              aws_secret_access_key="b")
        client.create_bucket(Bucket="data")
        for file in make_raw(SHAPE).rglob("*"):
            if file.is_file():
                client.upload_file(str(file), "data", f"raw.zarr/{file.relative_to(make_raw(SHAPE))}", {"ACL": "public-read"})
        predict_scan(plan("s3://data/raw.zarr"))
    finally:
        server.stop()
        s3._filesystem.cache_clear()
    given = read(tmp_path / "prediction.zarr")
    for name, prediction in wanted.items():
        np.testing.assert_array_equal(given[name], prediction)


def test_a_part_of_a_whole_volume_on_a_server(values, wanted, plan, read, tmp_path):
    """Precomputed, by a worker, which opens it again: of a petavoxel, the part that is asked for."""
    begin = [round(o / r) for o, r in zip(OFFSET, RESOLUTION, strict=True)]
    scale = {"key": "s", "size": [99999] * 3, "chunk_sizes": [[64, 64, 64]], "resolution": RESOLUTION[::-1], "encoding": "raw",
             "voxel_offset": [b - 64 * 800 for b in begin[::-1]]}
    chunk = np.zeros((64, 64, 64), np.uint8)
    chunk[:SHAPE[0], :SHAPE[1], :SHAPE[2]] = values
    (tmp_path / "raw/s").mkdir(parents=True)
    (tmp_path / "raw/info").write_text(json.dumps({"type": "image", "data_type": "uint8", "num_channels": 1, "scales": [scale]}))
    name = "_".join(f"{b}-{b + s}" for b, s in zip(begin[::-1], chunk.shape[::-1], strict=True))
    (tmp_path / "raw/s" / name).write_bytes(chunk.tobytes())
    roi = {"roi_offset": tuple(OFFSET), "roi_shape": tuple(s * r for s, r in zip(SHAPE, RESOLUTION, strict=True))}
    with Server(tmp_path) as server:
        assert predict_blockwise(plan(f"precomputed://{server.url}/raw", **roi), Workers(num_workers=1))
    given = read(tmp_path / "prediction.zarr")
    for name, prediction in wanted.items():
        np.testing.assert_array_equal(given[name], prediction)
