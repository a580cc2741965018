"""Where samples come from: volumes in memory and on disk, tiles, chunks; and the workers that read them."""

import json

import numpy as np
import pytest
from PIL import Image

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.rejection import Rejection
from lsd_experiments.families.pytc.samples import Augmentor, Sampler, Source, open_sources
from lsd_experiments.families.pytc.samples.sources import Chunks, read_beyond, to_uint8
from lsd_experiments.families.pytc.samples.tiles import chunk_box, open_tiles
from lsd_experiments.geometry import Box
from tests.families.pytc.small import DEFAULTS, OFF, SMALL, same, sampler, tiles, volumes


def test_sources_are_drawn_by_their_places(tmp_path):
    small, large = (open_sources([paths[0]], [paths[1]])[0] for paths in (
        volumes(tmp_path, (5, 20, 20), "s")[0], volumes(tmp_path, (12, 60, 64), "b")[0]))
    both = Sampler([small, large], Augmentor((5, 17, 17)), ["0"], [["0"]])
    drawn = [both.sample(iteration, 0).place[0] for iteration in range(40)]
    assert 30 < sum(drawn) <= 40


def test_a_source_that_is_too_small(source):
    with pytest.raises(UserError, match=r"a_image.npy: has \(12, 60, 64\) voxels.*\(19, 372, 372\)"):
        sampler(source, DEFAULTS, (17, 257, 257))


def test_padding_is_a_mirror(tmp_path):
    (image, labels, _), values, _, _ = volumes(tmp_path)
    source, = open_sources([image], [labels], pad=(2, 8, 9), normalize=False)
    padded = np.pad(values, ((2, 2), (8, 8), (9, 9)), mode="reflect")
    assert source.places((5, 17, 17)) == [12, 60, 66]
    np.testing.assert_array_equal(source.read_image((0, 0, 0), padded.shape), padded)
    for mode in ("reflect", "symmetric", "constant"):
        far = read_beyond(source.image, Box((-20, -3, 5), (-2, 70, 140)), mode)
        expected = np.pad(values, ((20, 10), (3, 10), (0, 80)), mode=mode)[:18, :73, 5:140]
        np.testing.assert_array_equal(far, expected)


def test_large_volumes_are_read_box_by_box(tmp_path):
    (image, labels, mask), *_ = volumes(tmp_path)
    options = DEFAULTS | {"RESCALE": OFF}
    held, = open_sources([image], [labels], [mask], pad=(1, 5, 5))
    lazy, = open_sources([image], [labels], [mask], pad=(1, 5, 5), memory=0)
    assert lazy.high == np.load(image).max() < 255
    assert isinstance(held.image.array, np.ndarray)
    assert lazy.image.array is not held.image.array
    same(sampler(held, options, (3, 9, 9)).sample(5, 0), sampler(lazy, options, (3, 9, 9)).sample(5, 0))


def test_ranges_become_those_of_uint8(tmp_path):
    (_, labels, _), values, _, _ = volumes(tmp_path)
    np.save(tmp_path / "wide.npy", values.astype(np.float32) * 10 - 300)
    for memory in (0, 2**30):
        source, = open_sources([tmp_path / "wide.npy"], [labels], memory=memory)
        image = source.read_image((0, 0, 0), (12, 60, 64))
        assert (image.min(), image.max()) == (0, 255)
        np.testing.assert_allclose(image, values / values.max() * 255, atol=0.51)
    with pytest.raises(UserError, match=r"NORMALIZE_RANGE"):
        open_sources([tmp_path / "wide.npy"], [labels], normalize=False)
    assert to_uint8(np.full(3, 7.0), 7, 7).tolist() == [0, 0, 0]


def test_volumes_are_scaled(tmp_path):
    (image, labels, _), _, ids, _ = volumes(tmp_path)
    source, = open_sources([image], [labels], scale=(1, 0.5, 2))
    assert source.image.shape == source.labels.shape == (12, 30, 128)
    assert set(np.unique(source.labels.read())) <= set(np.unique(ids))
    with pytest.raises(UserError, match=r"DATASET.DATA_SCALE"):
        open_sources([image], [labels], scale=(1, 2, 2), memory=0)


def test_wrong_sources(tmp_path):
    (image, labels, mask), *_ = volumes(tmp_path)
    (other, *_), *_ = volumes(tmp_path, (12, 60, 60), "c")
    with pytest.raises(UserError, match=r"a_label.npy: has \(12, 60, 64\) voxels"):
        open_sources([other], [labels])
    with pytest.raises(UserError, match=r"2 images have 1 labels and 1 masks"):
        open_sources([image, image], [labels], [mask])
    with pytest.raises(UserError, match=r"there is no such file"):
        open_sources([tmp_path / "*.png"], [labels])


def test_binary_labels_and_kept_ids(tmp_path):
    (image, labels, _), _, ids, _ = volumes(tmp_path)
    binary, = open_sources([image], [labels], binary=True)
    assert set(np.unique(binary.read_labels((0, 0, 0), (12, 60, 64)))) == {0, 1}
    source, = open_sources([image], [labels])
    made = sampler(source, targets=["1"], weights=[["0"]]).sample(0, 0)
    z, y, x = made.place[1]
    np.testing.assert_array_equal(made.targets[0][0], ids[z:z + 5, y:y + 17, x:x + 17] % 2)


def test_labels_as_colours(tmp_path):
    (image, labels, _), _, ids, _ = volumes(tmp_path)
    (tmp_path / "colours").mkdir()
    wide = ids.astype(np.uint32) * 70000
    for z, section in enumerate(np.stack([wide >> 16, wide >> 8 & 255, wide & 255], -1).astype(np.uint8)):
        Image.fromarray(section).save(tmp_path / "colours" / f"{z}.png")
    for memory in (0, 2**30):
        for name in ("colours", "colours/*.png"):
            source, = open_sources([image], [tmp_path / name], vast=True, memory=memory)
            np.testing.assert_array_equal(source.read_labels((1, 2, 3), (4, 5, 6)), wide[1:5, 2:7, 3:9])
    with pytest.raises(UserError, match=r"colours: has 3 channels"):
        open_sources([image], [tmp_path / "colours"])
    with pytest.raises(UserError, match=r"DATASET.LABEL_VAST"):
        open_sources([image], [labels], vast=True)


def test_ids_that_are_none_are_refused(tmp_path):
    (image, *_), _, ids, _ = volumes(tmp_path)
    np.save(tmp_path / "negative.npy", ids.astype(np.int64) - 1)
    np.save(tmp_path / "float.npy", ids.astype(np.float32))
    for memory in (0, 2**30):
        source, = open_sources([image], [tmp_path / "negative.npy"], memory=memory)
        with pytest.raises(UserError, match=r"negative.npy: has the negative id -1"):
            sampler(source, shape=(5, 40, 40)).sample(0, 0)
    with pytest.raises(UserError, match=r"float.npy is of type float32; labels are integers"):
        open_sources([image], [tmp_path / "float.npy"])


def test_volumes_of_tiles(tmp_path):
    _, values, ids, _ = volumes(tmp_path)
    path = tiles(tmp_path, values, 25, "im")
    np.testing.assert_array_equal(open_tiles(path).read(), values)
    np.testing.assert_array_equal(open_tiles(path).read(Box((3, 20, 26), (5, 51, 27))), values[3:5, 20:51, 26:27])
    (tmp_path / "im" / "2_1_2.png").unlink()
    assert (open_tiles(path).read()[2, :25, 25:50] == 128).all()
    wide = ids.astype(np.uint32) * 70000
    labels = tiles(tmp_path, wide, 40, "seg", first=0, colour=True)
    np.testing.assert_array_equal(open_tiles(labels, of_labels=True).read(), wide)


@pytest.mark.parametrize(("change", "message"), [
    ({"image": []}, "names 0 sections"), ({"tile_size": 0}, "tile_size"), ({"dtype": "float32"}, "float32"),
    ({"image": ["x_{row}.png"] * 12}, "no tile of the first section"),
    *(({"image": [f"x_{wrong}.png"] * 12}, "has other fields than {row} and {column}") for wrong in ("{r}", "{", "{}")),
])
def test_wrong_volumes_of_tiles(tmp_path, change, message):
    path = tiles(tmp_path, volumes(tmp_path)[1], 40, "im")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message) as raised:
        open_tiles(path)
    assert str(path) in str(raised.value)


def test_tiles_that_hold_more_than_is_said(tmp_path):
    """Ids above 255 are not cut to uint8; those that fit are taken as they are."""
    values = np.full((2, 30, 20), 255, np.uint16)
    path = tiles(tmp_path, values, 16, "seg")
    assert (open_tiles(path, of_labels=True).read() == 255).all()
    Image.fromarray(values[0, :14, :4] + 1).save(tmp_path / "seg/1_2_2.png")
    with pytest.raises(UserError, match=r"1_2_2\.png: has values from 256 to 256, but 'dtype' of its JSON file is uint8, to 255"):
        open_tiles(path, of_labels=True).read()
    path.write_text(path.read_text().replace("uint8", "uint16"))
    assert open_tiles(path, of_labels=True).read()[1, -1, -1] == 256


@pytest.mark.parametrize("text", ["{", "[]", None])
def test_files_that_are_no_volumes_of_tiles(tmp_path, text):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a.json"):
        open_tiles(tmp_path / "a.json")


def test_chunks_cover_the_volume_and_take_turns(tmp_path):
    shape, numbers = (12, 60, 64), (1, 2, 3)
    for overlap in (False, True):
        covered = np.zeros(shape, int)
        for chunk in range(6):
            covered[chunk_box(shape, numbers, chunk, overlap).slices] += 1
        assert covered.min() >= 1
        assert (covered.max() > 1) == overlap
    chunks = Chunks(numbers, iterations=10)
    turns = [chunks.at(iteration, 0) for iteration in range(0, 120, 10)]
    assert sorted(turns[:6]) == sorted(turns[6:]) == list(range(6))
    assert chunks.at(19, 0) == turns[1]
    assert [chunks.at(iteration, 1) for iteration in range(0, 120, 10)] != turns


def test_samples_of_chunks(tmp_path):
    _, values, ids, _ = volumes(tmp_path)
    image, labels = tiles(tmp_path, values, 25, "im"), tiles(tmp_path, ids.astype(np.uint8), 25, "seg")
    chunks = Chunks((1, 2, 2), iterations=2, overlap=False)
    source, = open_sources([image], [labels], pad=(0, 4, 4), chunks=chunks)
    drawn = sampler(source)
    for iteration in (0, 1, 2, 5):
        made = drawn.sample(iteration, 0)
        box = chunk_box(values.shape, (1, 2, 2), chunks.at(iteration, 0), False)
        padded = np.pad(values, ((0, 0), (4, 4), (4, 4)), mode="reflect")
        z, y, x = (b + p for b, p in zip(box.begin, made.place[1], strict=True))
        np.testing.assert_allclose((made.image[0] + 1) / 2 * 255, padded[z:z + 5, y:y + 17, x:x + 17], atol=1e-4)
    same(drawn.sample(0, 0), sampler(source).sample(0, 0))
    with pytest.raises(UserError, match=r"a chunk has \(12, 30, 32\)"):
        sampler(source, shape=(5, 40, 40))


def test_batches_are_the_same_for_all_numbers_of_workers_and_processes(source):
    torch = pytest.importorskip("torch")
    from lsd_experiments.families.pytc.samples.loader import load_batches

    drawn = sampler(source, SMALL, (3, 9, 9))
    whole = list(load_batches(drawn, range(2, 5), 4))
    assert [batch.iteration for batch in whole] == [2, 3, 4]
    assert whole[0].image.shape == (4, 1, 3, 9, 9)
    assert whole[0].weights[0][1].shape == (4, 1)  # none
    resumed = next(iter(load_batches(drawn, range(4, 5), 4, workers=2)))
    assert torch.equal(resumed.image, whole[2].image)
    parts = [list(load_batches(drawn, range(2, 5), 4, rank, 2)) for rank in range(2)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert torch.equal(batch.image, torch.cat([share.image for share in shares]))
        assert torch.equal(batch.targets[0], torch.cat([share.targets[0] for share in shares]))
    with pytest.raises(UserError, match=r"SAMPLES_PER_BATCH: 4 samples cannot be shared by 3"):
        load_batches(drawn, range(2), 4, 0, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_workers_meet_is_said_in_one_line(tmp_path, workers):
    pytest.importorskip("torch")
    from lsd_experiments.families.pytc.samples.loader import load_batches

    (image, labels, _), *_ = volumes(tmp_path)
    source, = open_sources([image], [labels])
    impossible = sampler(source, rejection=Rejection(size=10**6, probability=1.0))
    with pytest.raises(UserError) as raised:
        list(load_batches(impossible, range(1), 2, workers=workers))
    assert str(raised.value).startswith("DATASET.REJECT_SAMPLING")
    assert "\n" not in str(raised.value)


def test_workers_read_files_that_do_not_fit_into_memory(tmp_path):
    torch = pytest.importorskip("torch")
    import h5py

    from lsd_experiments.families.pytc.samples.loader import load_batches

    _, image, labels, _ = volumes(tmp_path)
    for name, values in (("image.h5", image), ("label.h5", labels)):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("main", data=values, chunks=(2, 16, 16), compression="gzip")
    drawn = [sampler(open_sources([tmp_path / "image.h5"], [tmp_path / "label.h5"], memory=memory, normalize=False)[0], SMALL,
                     (3, 9, 9)) for memory in (2**30, 0)]
    held, lazy = (list(load_batches(each, range(6), 2, workers=workers)) for each, workers in zip(drawn, (0, 2), strict=True))
    assert all(torch.equal(one.image, other.image) for one, other in zip(held, lazy, strict=True))


def test_a_source_says_what_it_lacks(source):
    assert isinstance(source, Source)
    assert source.read_mask((0, 0, 0), (2, 3, 4)) is None
