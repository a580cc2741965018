"""What one sees, in a real browser: each layer's colours at known places, and no error in the console."""

from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments.geometry import Box
from lsd_experiments.skeletons import Skeletons
from lsd_experiments.viewing import Kind, SkeletonView, View, make_viewer

pytestmark = pytest.mark.browser

# Places in nm from the panel's middle, which is the volume's: it is 480 nm in z, 400 in y, 480 in x.
NAMES = ("raw", "affs", "lsds", "segmentation", "labels/labels_mask")
GREY, BRIGHT, DARK, LATE = (170,) * 3, (220,) * 3, (30,) * 3, (60,) * 3
NOTHING = (127,) * 3  # what neuroglancer shows where there is no data
RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


@pytest.fixture
def page(browse, volume):
    return browse(make_viewer([View(name, volume(name)) for name in NAMES], layout="xy"))


def assert_seen(page, expected) -> None:
    """The picture shows ``expected``, a colour for each place."""
    seen = page.colours(expected)
    for place, colour in expected.items():
        assert max(abs(a - b) for a, b in zip(seen[place], colour, strict=True)) <= 4, f"{seen}, not {expected}"


def select(state, segment) -> None:
    """Only ``segment``, in magenta."""
    state.layers["segmentation"].segments = [segment]
    state.layers["segmentation"].segment_colors = {segment: "#ff00ff"}


RAW_XY = {(-200, -170): GREY, (200, -170): GREY, (-200, 100): BRIGHT, (200, 100): DARK}


def test_raw_in_each_plane(page) -> None:
    """Swapped axes would show: right is x, down is y, and z goes into the screen."""
    page.show("raw")
    assert_seen(page, RAW_XY)
    page.show("raw", position=(20.5, 30, 50))  # z = 10.5 voxels into the volume
    assert_seen(page, dict.fromkeys(RAW_XY, LATE))
    page.show("raw", position=(16, 30, 50), layout="xz")  # x right, z down; 8 of 12 sections are early
    assert_seen(page, {(-200, -200): BRIGHT, (200, -200): DARK, (-200, 60): BRIGHT, (-200, 110): LATE, (200, 110): LATE})
    assert page.errors() == []


SEND = """
const [url, previous, done] = arguments;
const body = JSON.stringify({pg: previous, g: 1, s: {}, c: 'other'});
fetch(url, {method: 'POST', body}).then(answer => done(answer.status));
"""


def test_which_answers_are_errors(page) -> None:
    """A page that was slower than a change of the state is told so (412), and goes on; a state of no viewer (404) is an error."""
    page.show("raw")
    assert_seen(page, RAW_XY)
    url = f"/state/{page.viewer.token}"
    assert page.driver.execute_async_script(SEND, url, "of before") == 412
    assert page.errors() == []
    assert page.driver.execute_async_script(SEND, "/state/nobody", "of before") == 404
    assert any("/state/nobody" in message for message in page.errors())


def test_the_volume_is_where_its_offset_says(page) -> None:
    """The panel is moved to the first voxel in world coordinates: all that is left of it or above is empty."""
    page.show("raw", position=(10.5, 10, 20))
    assert_seen(page, {(20, 20): GREY, (20, 120): BRIGHT, (-20, 120): NOTHING, (20, -20): NOTHING})
    page.show("raw", position=(10.5, 22, 20))  # in y, 12 voxels further: bright above the middle as well
    assert_seen(page, {(20, -10): BRIGHT, (20, -60): GREY})


def test_swapped_axes_would_be_seen(browse, volume) -> None:
    """The same array with y and x exchanged does not pass for the volume."""
    raw = volume("raw")
    swapped = replace(raw, array=raw.read().swapaxes(1, 2), region=Box.of_shape((12, 60, 40)))
    page = browse(make_viewer([View("raw", swapped, Kind.RAW)], layout="xy"))
    page.show("raw", position=(16, 30, 50))
    turned = {(-200, -170): GREY, (-50, -100): BRIGHT, (-200, 170): GREY, (-50, 170): DARK}
    assert_seen(page, turned)
    assert any(page.colours(RAW_XY, patience=0)[place] != colour for place, colour in RAW_XY.items())


def test_affinities_are_red_green_blue(page) -> None:
    page.show("affs")
    assert_seen(page, {(-200, -100): RED, (200, -100): GREEN, (-200, 100): BLUE, (200, 100): BLACK})
    assert page.errors() == []


def test_components_of_the_lsds(page) -> None:
    centre = (100, 100)
    shown = {"lsds offset": BLUE, "lsds variance": RED, "lsds correlation": GREEN, "lsds size": (128, 0, 0)}
    for name, colour in shown.items():
        page.show(name)
        assert_seen(page, {centre: colour})
    assert page.errors() == []


def test_ids_above_2_to_the_63_are_told_apart(page, ids) -> None:
    page.show("segmentation")
    first, second = (-200, -100), (-200, 100)
    seen = page.colours(dict.fromkeys((first, second), lambda c: max(c) != min(c)))
    assert seen[first] != seen[second]
    page.change(lambda state: select(state, ids[1]))
    seen = page.colours({second: lambda c: c[1] < 20 < c[0], first: lambda c: max(c) == min(c)})
    assert seen[second][0] > 100
    assert seen[second][1] < 20
    assert max(seen[first]) == min(seen[first])  # the other id is hidden: grey or black
    assert page.errors() == []


def test_meshes(browse, volume, ids) -> None:
    """A selected segment, in the lower half, has a surface in the 3-D panel."""
    array = np.zeros((12, 40, 60), np.uint64)
    array[2:10, 24:36, 10:50] = ids[1]
    array[2:10, 4:16, 10:50] = ids[0]
    page = browse(make_viewer([View("segmentation", replace(volume("segmentation"), array=array))], layout="3d"))
    page.change(lambda state: (select(state, ids[1]), setattr(state, "show_slices", False)))
    lower, upper = (0, 50), (0, -50)
    seen = page.colours({lower: lambda c: c[0] > 60})
    assert seen[lower][0] > 60
    assert seen[lower][1] < 20  # magenta
    assert max(page.colours({upper: BLACK})[upper]) < 20  # the other id is not selected
    assert page.errors() == []


def test_the_mask_is_green_over_raw(page) -> None:
    page.show("raw", "labels/labels_mask")
    masked = tuple(round(0.6 * grey + 0.4 * green) for grey, green in zip(DARK, GREEN, strict=True))
    assert_seen(page, {(-200, 100): BRIGHT, (200, 100): masked})


def test_an_offset_between_voxels(browse, volume) -> None:
    """Half a voxel of 10 nm in y: the border at y = 10 voxels is 5 nm lower than it was."""
    raw = volume("raw")
    half = replace(raw, offset=(400, 105, 160))
    page = browse(make_viewer([View("raw", half, Kind.RAW)], layout="xy"))
    page.show("raw", position=(10.5, 20, 30), cross_section_scale=0.02)  # 0.16 nm to a pixel
    assert_seen(page, {(-20, 2.5): GREY, (-20, 7.5): BRIGHT})
    aligned = browse(make_viewer([View("raw", raw, Kind.RAW)], layout="xy"))
    aligned.show("raw", position=(10.5, 20, 30), cross_section_scale=0.02)
    assert_seen(aligned, {(-20, -2.5): GREY, (-20, 2.5): BRIGHT})


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_labels_of_signed_types(browse, volume, dtype) -> None:
    array = np.ones((12, 40, 60), dtype)
    array[:, 20:] = 2
    page = browse(make_viewer([View("labels", replace(volume("segmentation"), array=array), Kind.LABELS)], layout="xy"))
    seen = page.colours(dict.fromkeys(((-200, -100), (-200, 100)), lambda c: max(c) != min(c)))
    assert seen[-200, -100] != seen[-200, 100]
    assert all(max(colour) != min(colour) for colour in seen.values())
    assert page.errors() == []


def test_skeletons_lie_over_the_volume(browse, volume) -> None:
    """A line along x in the middle of the volume at (640, 300, 400) nm, and one along y; their colours are those that are set."""
    skeletons = Skeletons.of([(640, 300, 250), (640, 300, 550), (640, 150, 200), (640, 450, 200)], [(0, 1), (2, 3)])
    page = browse(make_viewer([View("raw", volume("raw")), SkeletonView("traced", skeletons)], layout="xy"))
    page.show("traced", position=(16, 30, 50))
    page.change(lambda state: setattr(state.layers["traced"], "segment_colors", {1: "#ff0000", 2: "#00ff00"}))
    along_x, along_y, beside = (0, 0), (-200, -60), (0, 60)
    seen = page.colours({along_x: lambda c: c[0] > 200 > c[1] + 100, along_y: lambda c: c[1] > 200 > c[0] + 100})
    assert seen[along_x][0] > 200 > seen[along_x][1] + 100
    assert seen[along_y][1] > 200 > seen[along_y][0] + 100
    assert page.colours({beside: NOTHING})[beside] not in (seen[along_x], seen[along_y])
    assert page.errors() == []
