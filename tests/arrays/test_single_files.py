"""MRC, NRRD, NIfTI and npy, written by the libraries that own them."""

import importlib
import pickle
import sys

import mrcfile
import nibabel
import nrrd
import numpy as np
import pytest

from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.arrays.opening import is_one_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

SIZE, OFFSET = (40, 10, 4.6), (120, 30, 9.2)


def write_mrc(path, raw) -> None:
    with mrcfile.new(path) as file:
        file.set_data(raw)
        file.voxel_size = (46, 100, 400)  # x, y, z in Angstrom
        file.header.nxstart, file.header.nystart, file.header.nzstart = 2, 3, 3


def write_nrrd(path, raw) -> None:
    header = {"space directions": np.diag([4.6, 10, 40]), "space units": ["nm"] * 3, "space dimension": 3,
              "space origin": [9.2, 30, 120], "encoding": "raw" if "raw" in path.name else "gzip"}
    nrrd.write(str(path), raw, header, index_order="C")


def write_spacings(path, raw) -> None:
    nrrd.write(str(path), raw, {"spacings": [0.0046, 0.01, 0.04], "units": ["um"] * 3}, index_order="C")


def write_nifti(path, raw) -> None:
    affine = np.diag([4.6e-3, 1e-2, 4e-2, 1])
    affine[:3, 3] = 9.2e-3, 3e-2, 0.12
    image = nibabel.Nifti1Image(raw.transpose(), affine)
    image.header.set_xyzt_units("micron")
    image.to_filename(path)


def write_npy(path, raw) -> None:
    np.save(path, raw)


WRITERS = {"a.mrc": write_mrc, "raw.nrrd": write_nrrd, "gzip.nrrd": write_nrrd, "apart.nhdr": write_nrrd,
           "spacings.nrrd": write_spacings, "a.nii": write_nifti, "a.nii.gz": write_nifti, "a.npy": write_npy}


@pytest.mark.parametrize("name", WRITERS)
def test_reading(tmp_path, raw, name) -> None:
    path = tmp_path / name
    WRITERS[name](path, raw)
    if name == "a.npy":
        with pytest.raises(UserError, match=r"a\.npy: stores no voxel size.*pass --voxel-size"):
            open_volume(path)
    volume = open_volume(path, "-", voxel_size=SIZE if name == "a.npy" else None)
    np.testing.assert_allclose(volume.voxel_size, SIZE, rtol=1e-7)
    np.testing.assert_allclose(volume.offset, (0, 0, 0) if name in ("a.npy", "spacings.nrrd") else OFFSET, rtol=1e-6)
    assert (volume.shape, volume.dtype, volume.channels) == (raw.shape, raw.dtype, None)
    np.testing.assert_array_equal(volume.read(Box((1, 2, 3), (4, 6, 11)), fill=9)[..., :6], raw[1:4, 2:6, 3:9])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(), raw)
    assert open_volume(path, voxel_size=(1, 2, 3)).voxel_size == (1, 2, 3)
    assert list_datasets(path) == []
    assert is_one_volume(str(path))
    with pytest.raises(UserError, match="has no datasets, 'volumes/raw' was asked for"):
        open_volume(path, "volumes/raw")


@pytest.mark.parametrize("name", WRITERS)
def test_damage(tmp_path, raw, name) -> None:
    path = tmp_path / name
    WRITERS[name](path, raw)
    content = path.read_bytes()
    for damaged in (content[:len(content) - 40], content[:20], b"", b"\x93nonsense" + content[9:]):
        if name == "a.nii" and len(damaged) == len(content):
            continue  # the values do not depend on its first bytes
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"cannot be read as \w+ \(.*\)\. Fetch or make it|stores no voxel size") as raised:
            open_volume(path).read()
        assert "\n" not in str(raised.value)


def test_bytes_of_imod_are_unsigned(tmp_path) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(values.view(np.int8))
        file.voxel_size = 80
    signed = open_volume(path)
    assert signed.dtype == np.int8
    np.testing.assert_array_equal(signed.read(), values.view(np.int8))
    content = bytearray(path.read_bytes())
    content[152:160] = np.array([1146047817, 0], "<i4").tobytes()
    path.write_bytes(content)
    unsigned = open_volume(path)
    assert unsigned.dtype == np.uint8
    np.testing.assert_array_equal(unsigned.read(), values)


def test_channels_and_types(tmp_path, raw) -> None:
    colours = np.stack([raw, raw + 1], axis=-1)
    nrrd.write(str(tmp_path / "c.nrrd"), colours, {"kinds": ["vector", "domain", "domain", "domain"]}, index_order="C")
    volume = open_volume(tmp_path / "c.nrrd", voxel_size=SIZE)
    assert volume.channels == 2
    np.testing.assert_array_equal(volume.read(), np.moveaxis(colours, -1, 0))
    for values, message in ((raw.astype(complex), "of type complex128 are no volumes"), (raw[0], r"has the shape \(7, 9\)"),
                            (np.array([{}]), "cannot be read as npy")):
        np.save(tmp_path / "a.npy", values, allow_pickle=True)
        with pytest.raises(UserError, match=message):
            open_volume(tmp_path / "a.npy", voxel_size=SIZE)


@pytest.mark.parametrize(("name", "library"), [("a.mrc", "mrcfile"), ("gzip.nrrd", "pynrrd"), ("a.nii", "nibabel")])
def test_a_library_that_is_not_installed(tmp_path, raw, name, library, monkeypatch) -> None:
    WRITERS[name](tmp_path / name, raw)
    module = {"pynrrd": "nrrd"}.get(library, library)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError):
        importlib.import_module(module)
    with pytest.raises(UserError, match=rf"is read by {library}, which is not installed. Install it: pip install 'lsd-exp"):
        open_volume(tmp_path / name)
