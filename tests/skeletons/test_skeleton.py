"""Parts of skeletons, several together, and the segments under nodes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments.arrays import Volume, create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.skeletons import Skeletons, crop, join, segments_at, voxels_of

# A line of five nodes along x, and one of two along y; an edge twice, once turned round, and one from a node to itself.
#
#     0 - 1 - 2 - 3 - 4     z = 0, y = 0, x = 0, 10, ..., 40
#     5 - 6                 z = 0, y = 50 and 60, x = 0
POSITIONS = [(0, 0, 0), (0, 0, 10), (0, 0, 20), (0, 0, 30), (0, 0, 40), (0, 50, 0), (0, 60, 0)]
EDGES = [(0, 1), (1, 2), (2, 1), (3, 2), (3, 4), (6, 5), (5, 5)]
IDS = [100, 101, 102, 103, 104, 7, 8]
LINES = Skeletons.of(POSITIONS, EDGES, IDS)
VOXEL_SIZE, OFFSET, SHAPE = (40.0, 10.0, 8.0), (400.0, 100.0, 160.0), (7, 9, 11)


def test_edges_are_put_right() -> None:
    assert LINES.edges.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4], [5, 6]]
    assert LINES.lengths.tolist() == [10] * 5
    assert Skeletons.of(POSITIONS, EDGES).ids.tolist() == list(range(7))
    for wrong in ({"ids": np.zeros(7, np.int64)}, {"edges": np.array([[0, 7]])}, {"positions": LINES.positions[:3]},
                  {"positions": np.full((7, 3), np.nan)}):
        with pytest.raises(AssertionError):
            replace(LINES, **wrong)


def test_components_are_numbered_by_their_first_nodes() -> None:
    assert LINES.components.tolist() == [0, 0, 0, 0, 0, 1, 1]
    reordered = Skeletons.of(np.zeros((6, 3)), [(0, 5), (1, 2), (2, 4)])
    assert reordered.components.tolist() == [0, 1, 1, 2, 1, 0]
    assert Skeletons.of([], []).components.tolist() == []


def test_components_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = rng.integers(1, 12)
        skeletons = Skeletons.of(np.zeros((n, 3)), rng.integers(0, n, (rng.integers(0, 10), 2)))
        numbers = list(range(n))
        for _ in range(n):
            for first, second in skeletons.edges:
                numbers[first] = numbers[second] = min(numbers[first], numbers[second])
        assert skeletons.components.tolist() == [sorted(set(numbers)).index(number) for number in numbers]


def test_a_crop_is_half_open_and_cuts_skeletons() -> None:
    inside = crop(LINES, (0, 0, 10), (1, 1, 30))
    assert inside.ids.tolist() == [101, 102, 103]
    assert inside.edges.tolist() == [[0, 1], [1, 2]]
    around = LINES.keep(np.array([True, True, False, True, True, True, False]))
    assert around.components.tolist() == [0, 0, 1, 1, 2], "without its middle, a skeleton is two"
    assert around.edges.tolist() == [[0, 1], [2, 3]]
    assert len(crop(LINES, (-1, -1, -1), (100, 100, 100)).ids) == 7
    assert len(crop(LINES, (0.5, 0, 0), (1, 1, 1)).ids) == 0


def test_ids_that_repeat_are_replaced() -> None:
    other = Skeletons.of([(1, 1, 1), (2, 2, 2)], [(0, 1)], [7, 9])
    both = join([LINES, other])
    assert both.ids.tolist() == list(range(9))
    assert both.edges.tolist() == [*LINES.edges.tolist(), [7, 8]]
    assert both.components.tolist() == [0] * 5 + [1, 1, 2, 2]
    assert join([LINES, Skeletons.of([(1, 1, 1)], [], [9])]).ids.tolist() == [*IDS, 9]
    assert len(join([]).ids) == 0


@pytest.fixture(params=["zarr", "region", "int32"])
def segmentation(request, tmp_path) -> Volume:
    """Each voxel has an id of its own; anisotropic, with an offset, in chunks that do not divide it, and as a part of more."""
    dtype = "int32" if request.param == "int32" else "uint64"
    margin = 2 if request.param == "region" else 0
    shape = tuple(n + 2 * margin for n in SHAPE)
    offset = tuple(o - margin * v for o, v in zip(OFFSET, VOXEL_SIZE, strict=True))
    volume = create_volume(tmp_path / "s.zarr", "ids", shape, VOXEL_SIZE, offset, dtype, chunks=(3, 4, 5))
    volume.write(volume.box, np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(dtype))
    return open_volume(tmp_path / "s.zarr", "ids").crop(Box.of_shape(SHAPE, (margin,) * 3))


def nodes_in_every_voxel() -> Skeletons:
    """Three nodes in each voxel, one on its lower corner."""
    corners = np.array(list(itertools.product(*map(range, SHAPE))), float)
    within = np.concatenate([corners, corners + 0.5, corners + 0.999])
    positions = OFFSET + within * VOXEL_SIZE
    order = np.random.default_rng(0).permutation(len(positions))
    return Skeletons.of(positions[order], np.stack([np.arange(5), np.arange(1, 6)], axis=1))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_segments_are_those_of_the_published_lookup(segmentation, stride) -> None:
    """The published look-up on the strided array, in a loop."""
    skeletons = nodes_in_every_voxel()
    strided = segmentation.read()[::stride, ::stride, ::stride]
    expected = [strided[tuple(int((p - o) // (stride * v)) for p, o, v in zip(position, OFFSET, VOXEL_SIZE, strict=True))]
                for position in skeletons.positions]
    segments = segments_at(segmentation, skeletons, stride)
    assert segments.dtype == np.uint64
    assert segments.tolist() == expected
    assert len(set(expected)) == strided.size
    voxels = voxels_of(segmentation, skeletons, stride)
    assert not (voxels % stride).any()
    assert segmentation.read()[tuple(voxels.T)].tolist() == expected


def test_only_what_has_nodes_is_read(segmentation) -> None:
    reads = []

    class Counted:
        def __init__(self, array) -> None:
            self.shape, self.dtype, self.chunks, self.array = array.shape, array.dtype, array.chunks, array

        def __getitem__(self, index):
            reads.append(tuple((part.start, part.stop) for part in index))
            return self.array[index]

    counted = replace(segmentation, array=Counted(segmentation.array))
    position = np.array(OFFSET) + np.array([[0, 0, 0], [0, 1, 1], [6, 8, 10]]) * VOXEL_SIZE
    segments_at(counted, Skeletons.of(position, []))
    assert sorted(tuple(stop - start for start, stop in read) for read in reads) == [(1, 1, 1), (1, 2, 2)]


def test_nodes_on_fractional_voxels() -> None:
    """Rounding does not move a node that is on the grid into the voxel before."""
    for size in (100 / 3, 4.6, 11.24, 33.0):
        volume = Volume("v.zarr", "ids", np.zeros((1, 1, 3000), np.uint64), (size,) * 3, (0.0, 0.0, size * 7),
                        Box.of_shape((1, 1, 3000)))
        positions = [(0, 0, size * (7 + n)) for n in range(3000)]
        assert voxels_of(volume, Skeletons.of(positions, []))[:, 2].tolist() == list(range(3000))


def test_a_node_outside_is_named(segmentation) -> None:
    end = np.array(segmentation.end)
    for position in (np.array(OFFSET) - (0, 0, 0.01), end * (1, 0, 0) + np.array(OFFSET) * (0, 1, 1)):
        skeletons = Skeletons.of([OFFSET, position, (0, 0, 0)], [], [5, 6, 7])
        with pytest.raises(UserError, match=r"node 6 at \(.*\) nm \(z, y, x\) is outside of .*, and so are 1 others\. Crop"):
            segments_at(segmentation, skeletons)
    whole = np.array(SHAPE) * VOXEL_SIZE
    assert len(segments_at(segmentation, crop(skeletons, OFFSET, whole))) == 1
    assert segments_at(segmentation, Skeletons.of([], [])).tolist() == []


def test_what_is_no_segmentation() -> None:
    def volume(array, **changes) -> Volume:
        return Volume("v.zarr", "ids", array, (1.0,) * 3, (0.0,) * 3, Box.of_shape((2, 2, 2)), **changes)

    node = Skeletons.of([(0, 0, 0)], [])
    with pytest.raises(UserError, match="is of type float32; labels are integers"):
        segments_at(volume(np.zeros((2, 2, 2), np.float32)), node)
    with pytest.raises(UserError, match="has 3 channels"):
        segments_at(volume(np.zeros((3, 2, 2, 2), np.uint8), channels=3), node)
    with pytest.raises(UserError, match="holds the id -1"):
        segments_at(volume(np.full((2, 2, 2), -1, np.int64)), node)
    assert segments_at(volume(np.full((2, 2, 2), 2**64 - 1, np.uint64)), node).tolist() == [2**64 - 1]
