"""The augmentations of a configuration (AUGMENTOR), drawn together and applied in one pass.

As published: which there are, their probabilities, parameters, and the size of the sample that they need. Other than published:
what moves voxels is composed to one transformation, so that an image is interpolated once, and what spoils an image comes after
it; gray values change first. Each of these has the distribution that it had, but for the shape of the boxes and bands, which
elastic deformation and rescaling do not bend here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.samples import effects
from lsd_experiments.families.pytc.samples.warping import STILL, Floats, Geometry

Random = np.random.Generator
ROTATED = 1.42  # times the side, which a rotated square needs
LOW, HIGH = 0.8, 1.25  # factors of rescaling
IDENTITY = np.arange(256, dtype=np.float32) / np.float32(255)


@dataclass(frozen=True)
class Augmentor:
    """Augmentations for samples of ``shape`` (z, y, x); ``options`` is AUGMENTOR of a configuration, None is no augmentation.

    ``flat``: samples are single sections (DO_2D).

    :raises UserError: if they do not fit the shape
    """

    shape: tuple[int, int, int]
    options: Mapping[str, Any] | None = None
    flat: bool = field(default=False)

    def __post_init__(self) -> None:
        depth, _, width = self.shape
        if self.flat and depth != 1:
            raise UserError(f"DATASET.DO_2D: MODEL.INPUT_SIZE has {depth} sections. Give it 1 along z")
        if self.probability("FLIP") and self.options and self.options["FLIP"]["DO_ZTRANS"] and depth != width:
            raise UserError(f"AUGMENTOR.FLIP.DO_ZTRANS: z and x change places, but MODEL.INPUT_SIZE has {depth} and {width}. "
                            "Set it to 0, or make them equal")

    def probability(self, name: str) -> float:
        """Of the augmentation ``name``; 0 if it is off, or is one of volumes and samples are ``flat`` sections."""
        options = (self.options or {}).get(name)
        if not options or not options["ENABLED"] or not (self.options or {}).get("ENABLED", True):
            return 0.0
        of_sections = name in ("MISSINGSECTION", "MISALIGNMENT")
        return 0.0 if of_sections and (self.flat or self.shape[0] < 3) else float(options["P"])

    @property
    def source_shape(self) -> tuple[int, int, int]:
        """How many voxels (z, y, x) a sample is made of."""
        depth = self.shape[0]
        y, x = (int(size + 2 * self._margin) for size in self._rescaled)
        if self.probability("MISSINGSECTION"):
            depth += 2 * math.ceil(self._of("MISSINGSECTION", "NUM_SECTION") / 2)
        return depth, y, x

    @property
    def smooths(self) -> bool:
        """Whether labels get smooth outlines."""
        return bool(self.options and self.options["SMOOTH"] and self.options.get("ENABLED", True))

    @property
    def _rescaled(self) -> tuple[int, ...]:
        """Voxels (y, x) that rotation and rescaling need."""
        sizes: Sequence[float] = self.shape[1:]
        if self.probability("ROTATE") and not self._of("ROTATE", "ROT90"):
            sizes = [math.ceil(size * ROTATED) for size in sizes]
        if self.probability("RESCALE"):
            sizes = [math.ceil(size / LOW) for size in sizes]
        return tuple(int(size) for size in sizes)

    @property
    def _margin(self) -> int:
        margin = int(self._of("ELASTIC", "ALPHA")) + 1 if self.probability("ELASTIC") else 0
        return margin + (math.ceil(self._of("MISALIGNMENT", "DISPLACEMENT") / 2) if self.probability("MISALIGNMENT") else 0)

    def _of(self, name: str, key: str) -> Any:
        assert self.options is not None
        return self.options[name][key]

    def _happens(self, name: str, random: Random) -> bool:
        probability = self.probability(name)
        return bool(probability) and bool(random.random() < probability)

    def draw_geometry(self, random: Random) -> Geometry:
        """A transformation from ``source_shape`` to ``shape``."""
        _, height, width = self.shape
        flips = self._happens("FLIP", random)
        matrix, offset = self._draw_plane(flips, random)
        y, x = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
        plane = matrix[:, 0, None, None] * y[:, None] + matrix[:, 1, None, None] * x + offset[:, None, None]
        grid: Floats = plane.astype(np.float32)
        if self._happens("ELASTIC", random):
            grid += self._draw_displacements(random)
        _, full_y, full_x = self.source_shape
        centre = ((full_y - height) // 2 + (height - 1) / 2, (full_x - width) // 2 + (width - 1) / 2)
        sections = self._draw_sections(random)
        if flips and random.random() < 0.5:
            sections = sections[::-1].copy()
        swaps_z = bool(flips and self._of("FLIP", "DO_ZTRANS") and random.random() < 0.5)
        return Geometry(sections, grid, self._draw_misalignment(random), centre, swaps_z)

    def _draw_plane(self, flips: bool, random: Random) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Flips, rotation and rescaling of sections: matrix and offset, about the middle."""
        matrix, offset = np.eye(2), np.zeros(2)
        square = self.shape[1] == self.shape[2]
        if flips:
            matrix = np.diag(random.choice((-1.0, 1.0), size=2))
            if random.random() < 0.5 and square:
                matrix = matrix[::-1]
        if self._happens("ROTATE", random):
            quarter = math.pi / 2 * random.integers(4) if square else math.pi * random.integers(2)
            angle = quarter if self._of("ROTATE", "ROT90") else 2 * math.pi * random.random()
            matrix = _rotation(angle) @ matrix
        if self._happens("RESCALE", random):
            factors = 1 / random.uniform(LOW, HIGH, size=2)
            room = np.maximum(0, np.array(self._rescaled) * (1 - factors) / 2)
            matrix, offset = factors[:, None] * matrix, random.uniform(-1, 1, size=2) * room
        return matrix, offset

    def _draw_displacements(self, random: Random) -> Floats:
        """[2, y, x] voxels."""
        from scipy.ndimage import gaussian_filter

        noise = random.random((2, *self.shape[1:]), np.float32) * 2 - 1
        sigma = self._of("ELASTIC", "SIGMA")
        smooth: Floats = gaussian_filter(noise, (0, sigma, sigma))
        return smooth * np.float32(self._of("ELASTIC", "ALPHA"))

    def _draw_sections(self, random: Random) -> NDArray[np.int64]:
        depth, available = self.shape[0], self.source_shape[0]
        sections = np.arange(available)
        if self._happens("MISSINGSECTION", random):
            missing = min(self._of("MISSINGSECTION", "NUM_SECTION"), available - depth)
            sections = np.delete(sections, random.choice(np.arange(1, available - 1), size=missing, replace=False))
        begin = random.integers(len(sections) - depth + 1)
        return sections[begin:begin + depth]

    def _draw_misalignment(self, random: Random) -> Floats:
        """[z, 2, 3]: one section, or all from one on, are displaced or rotated."""
        matrices = np.repeat(STILL[None], self.shape[0], axis=0)
        if not self._happens("MISALIGNMENT", random):
            return matrices
        displacement = self._of("MISALIGNMENT", "DISPLACEMENT")
        first = int(random.integers(1, self.shape[0] - 1))
        moved = slice(first, first + 1 if random.random() < 0.5 else None)
        if random.random() < self._of("MISALIGNMENT", "ROTATE_RATIO"):
            radius = max(1, min(self.source_shape[1:]) - displacement) * ROTATED
            most = 2 * math.asin(min(1.0, displacement / radius))
            matrices[moved, :, :2] = _rotation(random.uniform(-most, most))
        elif displacement:
            shifts = random.integers(displacement, size=(2, 2)) - displacement // 2
            matrices[:, :, 2] = shifts[0]
            matrices[moved, :, 2] = shifts[1]
        return matrices

    def draw_values(self, random: Random) -> Floats:
        """[256] what values of a uint8 image become."""
        return effects.grayscale(random) if self._happens("GRAYSCALE", random) else IDENTITY

    def spoil(self, image: Floats, random: Random) -> None:
        """What makes an image [z, y, x], 0 to 1, worse, in place."""
        if self._happens("CUTNOISE", random):
            effects.cut_noise(image, self._of("CUTNOISE", "LENGTH_RATIO"), self._of("CUTNOISE", "SCALE"), random)
        if self._happens("CUTBLUR", random):
            least, most = self._of("CUTBLUR", "DOWN_RATIO_MIN"), self._of("CUTBLUR", "DOWN_RATIO_MAX")
            effects.cut_blur(image, self._of("CUTBLUR", "LENGTH_RATIO"), least, most, self._of("CUTBLUR", "DOWNSAMPLE_Z"), random)
        if self._happens("MOTIONBLUR", random):
            effects.motion_blur(image, self._of("MOTIONBLUR", "SECTIONS"), self._of("MOTIONBLUR", "KERNEL_SIZE"), random)
        if self._happens("MISSINGPARTS", random):
            effects.missing_parts(image, self._of("MISSINGPARTS", "ITER"), self.probability("MISSINGPARTS"), random)


def _rotation(angle: float) -> NDArray[np.float64]:
    c, s = (round(v, 12) for v in (math.cos(angle), math.sin(angle)))  # quarters of turns are exact
    return np.array([[c, -s], [s, c]])
