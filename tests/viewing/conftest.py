"""A headless Chromium, and a small volume in which no two axes look alike."""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume

VOXEL_SIZE, OFFSET, SHAPE = (40.0, 10.0, 8.0), (400.0, 100.0, 160.0), (12, 40, 60)
IDS = (2**63 + 12345, 2**63 + 12346)  # equal as floats
WINDOW = (900, 700)
OPTIONS = ("--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
           "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--disable-dev-shm-usage", f"--window-size={WINDOW[0]},{WINDOW[1]}")
PATIENCE = 30  # seconds that a picture may take on a busy machine
PANEL = """
const panel = document.querySelector('.neuroglancer-rendered-data-panel');  // once the viewer has got its state
if (!panel) return null;
const r = panel.getBoundingClientRect();
return [r.x, r.y, r.width, r.height];
"""

Place = tuple[float, float]


@pytest.fixture(scope="session")
def container(tmp_path_factory) -> Path:
    """A result: raw, affs, lsds, segmentation and mask, [12, 40, 60] voxels of 40 x 10 x 8 nm at (400, 100, 160) nm.

    ::

        raw (y down, x right)   z < 8      z >= 8       affs          segmentation
        y  0..9                 170 170    60 60        red   green   id 0
        y 10..39                220  30    60 60        blue  black   id 1 (from y = 20)
    """
    path = tmp_path_factory.mktemp("result") / "result.zarr"
    raw = np.full(SHAPE, 30, np.uint8)
    raw[:, :, :30] = 220
    raw[:, :10] = 170
    raw[8:] = 60
    affs = np.zeros((3, *SHAPE), np.uint8)
    affs[0, :, :20, :30] = affs[1, :, :20, 30:] = affs[2, :, 20:, :30] = 255
    lsds = np.zeros((10, *SHAPE), np.uint8)
    lsds[2], lsds[3], lsds[7], lsds[9] = 255, 255, 255, 255
    segmentation = np.full(SHAPE, IDS[0], np.uint64)
    segmentation[:, 20:] = IDS[1]
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, :, 30:] = 1
    arrays = {"volumes/raw": raw, "volumes/affs": affs, "volumes/lsds": lsds, "volumes/segmentation": segmentation,
              "volumes/labels/labels_mask": mask}
    for name, array in arrays.items():
        channels = len(array) if array.ndim == 4 else None
        volume = create_volume(path, name, SHAPE, VOXEL_SIZE, OFFSET, array.dtype, channels=channels, chunks=(5, 16, 16))
        volume.write(volume.box, array)
    return path


@pytest.fixture
def ids() -> tuple[int, int]:
    """The two ids of the segmentation."""
    return IDS


@pytest.fixture
def volume(container) -> Callable[[str], Any]:
    return lambda name: open_volume(container, f"volumes/{name}")


@dataclass
class Browser:
    """A page with a viewer in one panel, ``xy``, ``yz`` or ``xz``.

    A busy page may send back the state that it had before a change, and so undo it: what is not seen soon is changed again.
    """

    driver: Any
    viewer: Any
    changes: list[Callable[[Any], None]] = field(default_factory=list)

    def change(self, change: Callable[[Any], None]) -> None:
        """Have ``change`` done to the viewer's state."""
        self.changes.append(change)
        self._change()

    def _change(self) -> None:
        with self.viewer.txn() as state:
            for change in self.changes:
                change(state)

    def show(self, *names: str, **state: Any) -> None:
        """Make the layers ``names`` visible, and no other; set ``state``."""
        def change(txn: Any) -> None:
            for layer in txn.layers:
                layer.visible = layer.name in names
            for key, value in state.items():
                setattr(txn, key, value)
        self.change(change)

    def colours(self, places: dict[Place, Any], patience: float = PATIENCE) -> dict[Place, tuple[int, ...]]:
        """What is at ``places`` (right, down), nm from the panel's middle, once the picture shows what they expect.

        A place's value is a colour that is expected, or a test of one; the last picture is given in any case.
        """
        end = time.monotonic() + patience
        for look in itertools.count(1):
            seen = self._look(list(places))
            if all(_fits(seen[place], expected) for place, expected in places.items()) or time.monotonic() > end:
                break
            time.sleep(0.5)
            if look % 6 == 0:
                self._change()
        return seen

    def _look(self, places: list[Place]) -> dict[Place, tuple[int, ...]]:
        from PIL import Image
        from selenium.webdriver.support.wait import WebDriverWait

        left, top, width, height = WebDriverWait(self.driver, PATIENCE).until(
            lambda driver: driver.execute_script(PANEL), "the page shows no panel")
        picture = Image.open(BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        per_pixel = self.viewer.state.cross_section_scale * min(VOXEL_SIZE)
        return {(right, down): picture.getpixel((round(left + width / 2 + right / per_pixel),
                                                 round(top + height / 2 + down / per_pixel)))
                for right, down in places}

    def errors(self) -> list[str]:
        """What the console calls severe, but for the icon that the server does not have, and the server's answer (412) to a
        page that sends back a state which was changed meanwhile: the page then takes the newer one."""
        messages = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [message for message in messages
                if "favicon.ico" not in message and not ("/state/" in message and "status of 412" in message)]


def _fits(seen: tuple[int, ...], expected: Any) -> bool:
    return bool(expected(seen)) if callable(expected) else near(seen, expected)


def near(seen: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether two colours are equal to a few steps."""
    return max(abs(a - b) for a, b in zip(seen, expected, strict=True)) <= 4


@pytest.fixture(scope="session")
def driver(tmp_path_factory) -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("Chromium and chromedriver are not installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def browse(driver) -> Iterator[Callable[[Any], Browser]]:
    """Open a viewer in the browser."""
    import neuroglancer

    def browse(viewer: Any) -> Browser:
        driver.get_log("browser")  # what earlier pages said
        driver.get(viewer.get_viewer_url())
        return Browser(driver, viewer)

    yield browse
    driver.get("about:blank")
    neuroglancer.stop()
