"""``fetch_snemi3d.py``: archives from a real server, checked, unpacked, resumed; and ``make_synthetic.py --kind snemi3d``."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
import tifffile

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc import fetching
from lsd_experiments.families.pytc.synthetic import write_snemi3d
from lsd_experiments.fetching import command, stores
from tests.fetching.web import Web, serving
from tests.scripts import run_script

SHAPE = (4, 12, 14)
PUBLISHED = "3d25a7025f66698f33c7850ace885939"
ZENODO = ["image/test-input.tif", "image/train-input.tif", "seg/train-labels.tif"]


def stack(values):
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="minisblack")
    return file.getvalue()


def hdf5(values):
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as group:
        group["main"] = values
    return file.getvalue()


def archive(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def members():
    random = np.random.default_rng(5)
    images = {f"image/{split}-input.tif": stack(random.integers(0, 256, SHAPE, np.uint8)) for split in ("train", "test")}
    labels = {"seg/train-labels.tif": stack(random.integers(0, 99, SHAPE, np.uint16))}
    return images | labels | {"__MACOSX/image/._train-input.tif": b"", "README": b"of SNEMI3D"}


@pytest.fixture
def web(members, monkeypatch, tmp_path):
    """A server with the archive, whose MD5 the catalogue says."""
    monkeypatch.setattr(stores, "PAUSE", 0.01)
    web = Web(files={"snemi.zip": archive(members)})
    catalogue = tmp_path / "datasets.toml"
    assert PUBLISHED in command.CATALOGUE.read_text()
    catalogue.write_text(command.CATALOGUE.read_text().replace(PUBLISHED, hashlib.md5(web.files["snemi.zip"]).hexdigest()))
    monkeypatch.setattr(command, "CATALOGUE", catalogue)
    with serving(web):
        yield web


def run(web, dest, *arguments, status=0):
    with pytest.raises(SystemExit) as ended:
        fetching.main("", ["--dest", str(dest), "--endpoint-url", web.url, *arguments])
    assert ended.value.code == status


def there(dest):
    place = dest / "snemi3d"
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.suffix in (".tif", ".h5"))


def test_the_archive_is_fetched_and_unpacked(web, members, tmp_path, capsys):
    dest = tmp_path / "dest"
    run(web, dest)
    assert there(dest) == ZENODO
    for name in ZENODO:
        assert (dest / "snemi3d" / name).read_bytes() == members[name]
    assert not list((dest / "snemi3d" / "image").glob("*partial*"))
    asked = len(web.bodies("snemi.zip"))
    capsys.readouterr()
    run(web, dest)
    assert len(web.bodies("snemi.zip")) == asked
    assert capsys.readouterr().out.count("there already") == 4


def test_the_newer_archive_is_flat_and_has_the_test_labels(web, members, tmp_path):
    flat = {name.rpartition("/")[2]: content for name, content in members.items() if name in ZENODO}
    web.files["snemi.zip"] = archive(flat | {"test-labels.h5": hdf5(np.ones(SHAPE, np.uint16))})
    run(web, tmp_path / "dest", "--test-labels")
    assert there(tmp_path / "dest") == sorted([*ZENODO, "seg/test-labels.h5"])
    assert (open_volume(tmp_path / "dest/snemi3d/seg/test-labels.h5", "main", voxel_size=(30, 6, 6)).read() == 1).all()


def test_a_transfer_that_broke_off_goes_on(web, tmp_path):
    half = len(web.files["snemi.zip"]) // 2

    def spoil(name, body):
        yield from (body[:half], None) if len(body) > half + 1 else (body,)

    web.spoil = spoil
    run(web, tmp_path / "dest")
    assert web.bodies("snemi.zip") == [None, f"bytes={half}-"]
    assert there(tmp_path / "dest") == ZENODO


def refused(web, dest, message, *arguments, capsys):
    run(web, dest, *arguments, status=2)
    said = capsys.readouterr().err
    assert message in said.replace("\n", " "), said
    assert "Traceback" not in said


def test_an_archive_with_another_md5_is_refused(web, members, tmp_path, capsys):
    web.files["snemi.zip"] = archive(members | {"README": b"of another"})
    refused(web, tmp_path / "dest", "not the published one", capsys=capsys)
    assert there(tmp_path / "dest") == []


@pytest.mark.parametrize(("change", "message"), [
    ({"seg/train-labels.tif": None}, "has no train-labels.tif"),
    ({"copy/train-input.tif": b"x"}, "has 2 times train-input.tif"),
    ({"image/test-input.tif": b"no TIFF"}, "test-input.tif"),
    ({"seg/train-labels.tif": stack(np.zeros((3, 12, 14), np.uint16))}, "has (3, 12, 14) voxels"),
])
def test_archives_that_are_not_of_snemi3d(web, members, tmp_path, capsys, change, message):
    changed = {name: content for name, content in (members | change).items() if content is not None}
    web.files["snemi.zip"] = archive(changed | {"test-labels.h5": hdf5(np.ones(SHAPE, np.uint16))})
    refused(web, tmp_path / "dest", message, "--test-labels", capsys=capsys)  # without an MD5 that is published


def test_damaged_archives(tmp_path, members):
    whole = archive({name: members[name] for name in ZENODO})
    path = tmp_path / "snemi.zip"
    names = [name.rpartition("/")[2] for name in ZENODO]
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"snemi.zip: is damaged"):
        fetching.unpack(path, tmp_path / "to", names)
    at = whole.index(b"image/train-input.tif") + 200
    path.write_bytes(whole[:at] + bytes(20) + whole[at + 20:])
    with pytest.raises(UserError, match=r"train-input.tif is damaged"):
        fetching.unpack(path, tmp_path / "to", names)
    assert not list((tmp_path / "to").rglob("*partial*"))
    assert not (tmp_path / "to" / "image" / "train-input.tif").exists()


def test_what_is_there_is_not_replaced(tmp_path, members):
    path = tmp_path / "snemi.zip"
    path.write_bytes(archive(members))
    (tmp_path / "image").mkdir()
    (tmp_path / "image/train-input.tif").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"train-input.tif: is there, and is not image/train-input.tif of snemi.zip"):
        fetching.unpack(path, tmp_path, ["train-input.tif"])
    assert (tmp_path / "image/train-input.tif").read_bytes() == b"mine"


def test_the_help_and_a_dry_run(web, tmp_path):
    done = run_script("01_data/fetch_snemi3d.py", "--help")
    assert "--test-labels" in done.stdout
    run(web, tmp_path / "dest", "--dry-run")
    assert not (tmp_path / "dest").exists()


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "snemi3d"
    assert write_snemi3d(path, (8, 66, 72), seed=3)
    return path


def test_a_synthetic_snemi3d_has_the_names_types_and_voxels(synthetic):
    assert sorted(path.relative_to(synthetic).as_posix() for path in synthetic.rglob("*.*") if path.is_file()) == [
        "image/test-input.tif", "image/train-input.tif", "made.json", "seg/test-labels.h5", "seg/train-labels.tif"]
    volumes = [open_volume(synthetic / name, dataset) for name, dataset in (
        ("image/train-input.tif", None), ("image/test-input.tif", None), ("seg/train-labels.tif", None),
        ("seg/test-labels.h5", "main"))]
    assert [volume.dtype for volume in volumes] == [np.uint8, np.uint8, np.uint16, np.uint16]
    assert {volume.voxel_size for volume in volumes} == {(30, 6, 6)}
    assert {volume.shape for volume in volumes} == {(8, 66, 72)}
    train, test, labels, truth = (volume.read() for volume in volumes)
    assert (train != test).mean() > 0.5
    assert len(np.unique(labels)) > 3
    assert not np.array_equal(labels, truth)
    fetching.check_volumes(synthetic)


def test_a_synthetic_snemi3d_is_left_as_it_is(synthetic, tmp_path):
    assert not write_snemi3d(synthetic, (8, 66, 72), seed=3)
    with pytest.raises(UserError, match=r"made with other parameters \(seed 3\)"):
        write_snemi3d(synthetic, (8, 66, 72), seed=4)
    with pytest.raises(UserError, match=r"is not a synthetic SNEMI3D"):
        write_snemi3d(tmp_path, (8, 66, 72))
    with pytest.raises(UserError, match=r"does not end in .zarr"):
        write_snemi3d(tmp_path / "a.zarr", (8, 66, 72))


def test_make_synthetic_knows_it(synthetic):
    done = run_script("01_data/make_synthetic.py", str(synthetic), "--kind", "snemi3d", "--shape", 8, 66, 72, "--seed", 3)
    assert "there already" in done.stdout
    wrong = run_script("01_data/make_synthetic.py", str(synthetic), "--kind", "snemi3d", "--voxel-size", 1, 1, 1)
    assert "--voxel-size: not with --kind snemi3d" in wrong.stderr
