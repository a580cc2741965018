"""What the paper's authors publish in numbers, beside which a report's own can be put.

Of Sheridan et al., Nature Methods 2023. The costs are those of a table in the repository of the authors' page; accuracies stand
in plots alone and are not repeated: what is read off a plot is no number to be compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lsd_experiments.report.comparing import Variant

CLAIM = (
    "The paper's claim: local shape descriptors as an auxiliary task bring affinities to the accuracy of flood-filling "
    "networks, at a "
    "cost that is two orders of magnitude lower."
)
SOURCE = (
    "Published: zebra finch, about 800,000 µm³ of 20 x 9 x 9 nm voxels; networks of 95.9 million parameters (fib25, hemi: "
    "264), trained for up to "
    "400,000 iterations on 33 volumes. Seconds are those of the whole, on all GPUs."
)
ITERATIONS = {
    "baseline": 400_000,
    "mtlsd": 400_000,
    "lsd": 400_000,
    "aclsd": 163_000,
    "acrlsd": 190_000,
    "long_range": 400_000,
    "malis": 400_000,
}  # zebra finch, those that predicted


@dataclass(frozen=True)
class Published:
    """Inference of one network. ``rate``: µm³ per GPU and second. ``tera``: 10^12 operations in all. ``gpus``: None where it
    is not said.
    """

    gpus: str | None
    seconds: int
    rate: float
    tera: int


INFERENCE = {
    "baseline": Published("60 x 2080 Ti", 8_449, 1.528, 437_000),
    "mtlsd": Published(None, 9_193, 1.404, 440_000),
    "lsd": Published("100 x 2080 Ti", 7_090, 1.093, 437_000),
    "long_range": Published(None, 10_596, 1.218, 440_000),
    "malis": Published(None, 8_522, 1.515, 437_000),
    "aclsd": Published("15 x V100", 43_972, 1.174, 874_000),
    "acrlsd": Published("24 x V100", 37_837, 0.854, 874_000),
    "FFN": Published("1000 x P100", 11_054, 0.07, 70_500_000),
}
VOXELS = 800_000 / (0.020 * 0.009 * 0.009)  # of the published volume


def published_of(variant: Variant) -> str | None:
    """The paper's name of a variant, if it is one of the paper's."""
    name = variant.name.partition(" ")[0].rstrip(",")
    return name if name in INFERENCE else None


def scale_differences(variants: Sequence[Variant]) -> list[str]:
    """In what these experiments are smaller than the paper's, in words, with numbers where they are known."""
    trained = [r for v in variants for r in v.results if r.training and r.training.checkpoint]
    iterations = sorted({r.iteration for r in trained if r.iteration})
    maps = sorted(
        {
            r.training.checkpoint.network.num_fmaps
            for r in trained
            if r.training and r.training.checkpoint and hasattr(r.training.checkpoint.network, "num_fmaps")
        }
    )
    voxels = sorted({int(r.rows[0]["voxels"]) for v in variants for r in v.results if r.rows[0].get("voxels")})
    return [
        f"iterations: {_range(iterations)} here, up to 400,000 published",
        f"feature maps at full resolution: {_range(maps)} here, 12 published",
        f"evaluated: {_range(voxels)} labelled voxels here, published 774,543 µm³ by skeletons",
        "data: other tissue, another microscope or none, and labels of other hands, unless said otherwise",
    ]


def _range(values: Sequence[int]) -> str:
    if not values:
        return "–"
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"
