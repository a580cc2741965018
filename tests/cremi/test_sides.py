"""Which segments a cleft parts."""

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.families.cremi import sides_command
from lsd_experiments.families.cremi.files import CremiFile, in_memory, read_cremi, write_cremi
from lsd_experiments.families.cremi.partners import score_partner_files, segments_at
from lsd_experiments.families.cremi.sides import boxes_of, find_partners, sides_of

VOXEL_SIZE, OFFSET = (40.0, 4.0, 4.0), (80.0, 40.0, 20.0)


@pytest.fixture
def tissue():
    """One neuron above the cleft, two below it, and a third one that hardly touches it:

        1 1 1 1 1 1 1 1 1
        - c c c c c c c -
        2 2 2 2 3 3 3 3 4
    """
    segments, clefts = np.zeros((3, 40, 60), np.uint64), np.zeros((3, 40, 60), np.uint64)
    segments[:, :20], segments[:, 20:, :30], segments[:, 20:, 30:48], segments[:, 20:, 48:] = 1, 2, 3, 4
    clefts[1, 19:21, 10:50] = 7
    return clefts, segments


def stored(path, **volumes):
    for name, values in volumes.items():
        volume = create_volume(path, name, values.shape, VOXEL_SIZE, OFFSET, values.dtype)
        volume.write(volume.box, values)
    return [open_volume(path, name) for name in volumes]


def test_the_largest_contact_is_presynaptic(tissue):
    clefts, segments = tissue
    found = sides_of(clefts == 7, segments, 4.0)
    assert (found.pre, found.posts) == (1, (2, 3))
    for place, segment in zip(found.places, (1, 2, 3), strict=True):
        assert segments[tuple(place)] == segment
        assert (clefts[tuple(place)], place[0]) == (0, 1)
    assert sides_of(clefts == 7, segments, 4.0, share=0.01).posts == (2, 3, 4), "the control"
    assert sides_of(clefts == 7, np.where(segments == 1, segments, 0), 4.0) is None


def test_or_what_the_map_says(tissue):
    clefts, segments = tissue
    polarity = np.where(segments == 3, 0.9, 0.2)
    found = sides_of(clefts == 7, segments, 4.0, polarity)
    assert (found.pre, found.posts) == (3, (1, 2))


def test_partners_of_a_volume(tmp_path, tissue):
    clefts, segments = tissue
    clefts[0, 35:37, 25:35] = 3
    volumes = stored(tmp_path / "v.zarr", clefts=clefts, segments=segments)
    assert dict(boxes_of(volumes[0])).keys() == {3, 7}
    found = find_partners(*volumes)
    pairs = segments_at(volumes[1], found.pairs())
    assert sorted(map(tuple, pairs.tolist())) in ([(1, 2), (1, 3), (2, 3)], [(1, 2), (1, 3), (3, 2)])
    assert (found.offset, found.types.count("presynaptic_site")) == (OFFSET, 2)


@pytest.mark.parametrize("none", [0, 2**64 - 1])
def test_clefts_of_cremi_have_ids_with_a_meaning(tmp_path, tissue, none):
    """2^64 - 1 is no cleft, and 0 one; what nobody knows is none, and what is not labelled is no neuron."""
    clefts, segments = tissue
    clefts[clefts == 0], clefts[0, :5, :5] = none, 2**64 - 2
    clefts[2, 19:21, 10:50], segments[2, :20] = 0, 2**64 - 1
    found = find_partners(*stored(tmp_path / "v.zarr", clefts=clefts, segments=segments))
    pairs = segments_at(open_volume(tmp_path / "v.zarr", "segments"), found.pairs())
    assert sorted(map(tuple, pairs.tolist())) == [(1, 2), (1, 3), *([(2, 3), (2, 4)] if none else [])]


def test_the_command_and_its_score(tmp_path, tissue, capsys):
    clefts, segments = tissue
    stored(tmp_path / "v.zarr", clefts=clefts, segments=segments)
    with pytest.raises(SystemExit) as ended:
        sides_command.cli.run(sides_command.run, sides_command.parser(""), [
            str(tmp_path / "v.zarr"), "clefts", str(tmp_path / "v.zarr"), "segments", str(tmp_path / "p.hdf")])
    assert (ended.value.code, "2 pairs" in capsys.readouterr().out) == (0, True)
    found = read_cremi(tmp_path / "p.hdf").annotations
    write_cremi(tmp_path / "truth.hdf", CremiFile(neuron_ids=in_memory(segments, VOXEL_SIZE, OFFSET), annotations=found))
    assert score_partner_files(tmp_path / "p.hdf", tmp_path / "truth.hdf")["fscore"] == 1


@pytest.mark.parametrize(("options", "said"), [
    (["--share", "1.5"], "1.5 is above 1"), (["--share", "nan"], "nan is not above 0"), (["--reach", "-1"], "-1 is not above 0"),
    (["--polarity", "v.zarr", "several"], "has 2 channels, and it is not said which"),
])  # fmt: skip
def test_what_the_command_refuses(tmp_path, tissue, capsys, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    stored("v.zarr", clefts=tissue[0], segments=tissue[1])
    create_volume("v.zarr", "several", tissue[0].shape, VOXEL_SIZE, OFFSET, "uint8", channels=2)
    arguments = ["v.zarr", "clefts", "v.zarr", "segments", "p.hdf", *options]
    with pytest.raises(SystemExit) as ended:
        sides_command.cli.run(sides_command.run, sides_command.parser(""), arguments)
    assert (ended.value.code, said in capsys.readouterr().err) == (2, True)
    assert not (tmp_path / "p.hdf").exists()


def test_swapped_volumes_are_refused(tmp_path, tissue, capsys):
    clefts, segments = tissue
    stored(tmp_path / "v.zarr", clefts=clefts, neuron_ids=segments)
    with pytest.raises(SystemExit) as ended:
        sides_command.cli.run(sides_command.run, sides_command.parser(""), [
            str(tmp_path / "v.zarr"), "neuron_ids", str(tmp_path / "v.zarr"), "clefts", str(tmp_path / "p.hdf")])
    assert (ended.value.code, "neuron_ids are named as CLEFTS" in capsys.readouterr().err) == (2, True)
    assert not (tmp_path / "p.hdf").exists()
