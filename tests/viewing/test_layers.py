"""What kind of layer a volume gets, its contrast, and that no more is read than is looked at."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from lsd_experiments.arrays import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.skeletons import Skeletons
from lsd_experiments.targets import Affinities, LocalShapeDescriptors
from lsd_experiments.viewing import Kind, SkeletonView, View, make_viewer
from lsd_experiments.viewing.layers import contrast, guess_kind
from lsd_experiments.viewing.lazy import LazyArray, local_volume
from lsd_experiments.viewing.skeletons import Parts, skeleton_layer


def memory(array, dataset="volumes/raw", channels=None) -> Volume:
    return Volume("memory.zarr", dataset, array, (40.0, 10.0, 8.0), (400.0, 100.0, 160.0), Box.of_shape(array.shape[-3:]),
                  channels=channels)


@pytest.mark.parametrize(("dataset", "dtype", "channels", "kind"), [
    ("volumes/raw", np.uint8, None, Kind.RAW),
    ("volumes/raw", np.float32, 1, Kind.RAW),
    ("raw/s0", np.uint16, None, Kind.RAW),
    ("", np.uint8, None, Kind.RAW),
    ("", np.uint64, None, Kind.LABELS),
    ("volumes/pred_affinities", np.float32, 3, Affinities),
    ("volumes/affs", np.uint8, 12, Affinities),
    ("volumes/affs_gradient", np.float32, 3, Affinities),
    ("volumes/gt_embedding", np.float32, 10, LocalShapeDescriptors),
    ("volumes/lsds", np.uint8, 10, LocalShapeDescriptors),
    ("volumes/labels/gt_mask", np.uint8, 3, Affinities),
    ("volumes/labels/labels_mask", np.uint8, None, Kind.MASK),
    ("volumes/labels/neuron_ids", np.uint64, None, Kind.LABELS),
    ("volumes/segmentation_40", np.uint16, None, Kind.LABELS),
    ("volumes/fragments", np.uint32, None, Kind.LABELS),
    ("labels/s0", np.int64, None, Kind.LABELS),
])
def test_kinds(dataset, dtype, channels, kind) -> None:
    shape = (2, 3, 4) if channels is None else (channels, 2, 3, 4)
    assert guess_kind(memory(np.zeros(shape, dtype), dataset, channels)) is kind


@pytest.mark.parametrize(("values", "expected"), [
    (np.uint8([3, 200]), (0, 255)), (np.uint8([0, 1]), (0, 1)), (np.uint16([100, 900]), (100, 900)),
    (np.float32([0.1, 0.9]), (0, 1)), (np.float32([-0.5, 1]), (-1, 1)), (np.float32([0, 0.01]), (0, 0.01)),
    (np.float32([np.nan, 0.25, 3]), (0.25, 3)), (np.float32([7, 7]), (7, 8)),
])
def test_contrast(values, expected) -> None:
    assert contrast(memory(np.resize(values, (2, 3, 4)))) == pytest.approx(expected)


@dataclass
class Counting:
    """100 GB that are nowhere: zeros, and how many voxels of it were read."""

    shape: tuple[int, ...] = (4000, 5000, 5000)
    dtype: type = np.uint8
    read: list[int] = field(default_factory=list)

    def __getitem__(self, index):
        values = np.zeros([s.stop - s.start for s in index], self.dtype)
        self.read.append(values.size)
        return values


@pytest.fixture
def stopped():
    import neuroglancer

    yield
    neuroglancer.stop()


def test_a_large_volume_is_read_where_it_is_looked_at(stopped) -> None:
    array = Counting()
    make_viewer([View("raw", memory(array))])
    assert sum(array.read) <= 64**3  # the sample that sets the contrast
    array.read.clear()
    local_volume(memory(array), is_segmentation=False).get_encoded_subvolume(
        "npz", np.array([0, 100, 100]), np.array([64, 164, 164]), "1,1,1")
    assert array.read == [64**3]


def test_meshes_are_not_made_of_large_volumes() -> None:
    from neuroglancer.local_volume import MeshesNotSupportedForVolume

    array = Counting(dtype=np.uint64)
    with pytest.raises(MeshesNotSupportedForVolume):
        local_volume(memory(array), is_segmentation=True).get_object_mesh(1)
    assert array.read == []


def test_a_damaged_chunk_is_an_error_of_its_own(container, volume) -> None:
    raw = volume("raw")
    broken = replace(raw, array=Broken())
    with pytest.raises(ValueError, match="damaged on disk"):
        LazyArray(broken)[0:2, 0:2, 0:2]


class Broken:
    shape, dtype = (12, 40, 60), np.dtype(np.uint8)

    def __getitem__(self, index):
        raise UserError("damaged on disk")


@pytest.mark.parametrize(("dtype", "shown"), [(np.int64, "float32"), (np.float64, "float32"), (bool, "uint8"),
                                              (np.float16, "float32"), (np.uint64, "uint64")])
def test_types_that_neuroglancer_does_not_know(dtype, shown) -> None:
    array = LazyArray(memory(np.ones((2, 3, 4), dtype)))
    assert array.dtype == shown
    assert array[0:1, 0:2, 0:2].dtype == shown


def test_layers_of_equal_names_are_numbered(stopped, volume) -> None:
    viewer = make_viewer([View("raw", volume("raw")), View("raw", volume("raw")), View("lsds", volume("lsds"))])
    assert [layer.name for layer in viewer.state.layers] == [
        "raw", "raw (2)", "lsds offset", "lsds variance", "lsds correlation", "lsds size"]
    assert [layer.visible for layer in viewer.state.layers] == [True, True, True, False, False, False]


def test_axes(stopped, volume) -> None:
    state = make_viewer([View("affs", volume("affs"))]).state
    assert (list(state.dimensions.names), list(state.display_dimensions)) == (["z", "y", "x"], ["x", "y", "z"])
    np.testing.assert_allclose(state.dimensions.scales, [40e-9, 10e-9, 8e-9])
    np.testing.assert_allclose(state.position, [10 + 6, 10 + 20, 20 + 30])


def test_nothing_to_show() -> None:
    with pytest.raises(UserError, match="nothing to show"):
        make_viewer([])


@pytest.mark.parametrize(("number", "archived"), [(20, 0), (21, 20)])
def test_of_many_layers_those_that_are_hidden_stand_in_a_list(number, archived) -> None:
    """Layers beside the picture would leave no room for it, and are not loaded."""
    volume = memory(np.zeros((2, 3, 4), np.uint8))
    state = make_viewer([View(f"v{n}", volume, visible=n == 0) for n in range(number)]).state
    assert [layer.name for layer in state.layers if layer.visible] == ["v0"]
    assert sum(layer.archived for layer in state.layers) == archived
    assert bool(state.layer_list_panel.visible) == (archived > 0)


SKELETONS = Skeletons.of([(0, 0, 0), (5, 5, 5), (0, 0, 3), (0, 0, 4), (9, 9, 9)], [(0, 2), (2, 3), (1, 4)], [7, 8, 9, 10, 11])


def test_each_skeleton_is_a_segment() -> None:
    parts = Parts(SKELETONS)
    assert parts.count == 2
    positions, edges = parts.part(0)
    assert (positions.tolist(), edges.tolist()) == ([[0, 0, 0], [0, 0, 3], [0, 0, 4]], [[0, 1], [1, 2]])
    positions, edges = parts.part(1)
    assert (positions.tolist(), edges.tolist()) == ([[5, 5, 5], [9, 9, 9]], [[0, 1]])
    source = skeleton_layer(SKELETONS).source[0].url
    assert source.get_skeleton(2).vertex_positions.tolist() == positions.tolist()
    assert source.get_skeleton(0) is source.get_skeleton(3) is None


def test_of_thousands_of_skeletons_the_longest_are_selected() -> None:
    count = 1200
    positions = [(n, 0, x) for n in range(count) for x in (0, 1 + n)]
    layer = skeleton_layer(Skeletons.of(positions, [(2 * n, 2 * n + 1) for n in range(count)]))
    assert sorted(map(int, layer.segments)) == list(range(201, 1201))
    assert len(skeleton_layer(SKELETONS).segments) == 2


def test_skeletons_without_a_volume(stopped) -> None:
    state = make_viewer([SkeletonView("traced", SKELETONS)]).state
    nm = [position * scale * 1e9 for position, scale in zip(state.position, state.dimensions.scales, strict=True)]
    assert nm == pytest.approx([5, 5, 5])  # the middle of 0 to 10
    with pytest.raises(UserError, match="the skeletons have no nodes"):
        make_viewer([SkeletonView("none", Skeletons.of([], []))])


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_ids_of_signed_types_are_shown_as_uint64(dtype) -> None:
    volume = memory(np.full((2, 3, 4), 7, dtype), "labels")
    assert LazyArray(volume, is_segmentation=True)[0:1, 0:1, 0:1].tolist() == [[[7]]]
    assert LazyArray(volume, is_segmentation=True).dtype == np.uint64
    assert LazyArray(memory(np.ones((2, 3, 4), np.uint16)), is_segmentation=True).dtype == np.uint16
    assert LazyArray(memory(np.ones((2, 3, 4), np.int16))).dtype == np.int16
