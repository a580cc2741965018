"""Inference of PyTorch Connectomics' networks beside MONAI's SlidingWindowInferer, on one thread each.

    pip install --no-deps monai
    python benchmarks/pytc.py                # some minutes

The same narrow U-Net on the same overlapping patches, weighted by the same Gaussian, none of which is moved back (0 % waste),
from gray values in memory to uint8 in memory: plain, and in all 16 turns, for which MONAI's is called on the turned volume. Both
must give the same to a gray value. Then the memory that SNEMI3D's size takes, 100 x 1024 x 1024 with the tutorial's patches,
padding and steps, by a network that does next to nothing: ours from file to file, MONAI's from and to memory. The last line has
the ratios to what the whole volume takes in float32, three channels and weights.
"""

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import HEADER, machine, rows, take_turns

PATCH, STEP, VOLUME = (9, 65, 65), (4, 32, 32), (21, 161, 161)
LARGE, LARGE_PATCH, LARGE_STEP, PAD = (100, 1024, 1024), (17, 257, 257), (8, 128, 128), (4, 64, 64)
WHOLE = 4 * 4 * np.prod(LARGE) / 2**30  # GiB
FILTERS = [8, 12, 16, 24, 32]


def configuration(patch: tuple[int, ...], step: tuple[int, ...], pad: tuple[int, ...], **inference: Any) -> Any:
    from lsd_experiments.families.pytc.configuration import load

    values = {"MODEL.TARGET_OPT": ["2"], "MODEL.OUT_PLANES": 3, "MODEL.FILTERS": FILTERS, "MODEL.BLOCK_TYPE": "residual_se",
              "INFERENCE.INPUT_SIZE": list(patch), "INFERENCE.OUTPUT_SIZE": list(patch), "INFERENCE.STRIDE": list(step),
              "INFERENCE.PAD_SIZE": list(pad), "INFERENCE.SAMPLES_PER_BATCH": 1,
              **{f"INFERENCE.{name}": value for name, value in inference.items()}}
    return load(pairs=[text for name, value in values.items() for text in (name, str(value))], inference=True)


def network(config: Any) -> Any:
    import torch

    from lsd_experiments.families.pytc.networks.building import build

    torch.set_num_threads(1)
    torch.manual_seed(0)
    return build(config).eval()


def slight() -> Any:
    import torch

    class Slight(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scales = torch.nn.Parameter(torch.tensor([1.0, 2.0, -1.0]).view(1, 3, 1, 1, 1))

        def forward(self, raw: Any) -> Any:
            return raw * self.scales

    torch.set_num_threads(1)
    return Slight().eval()


def grays(shape: tuple[int, ...]) -> np.ndarray:
    made = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    made.flat[:2] = 0, 255
    return made


def ours(turns: int) -> Callable[[], np.ndarray]:
    from lsd_experiments.arrays import Volume
    from lsd_experiments.families.pytc.inference.heads import ensemble_of
    from lsd_experiments.families.pytc.inference.images import Image
    from lsd_experiments.families.pytc.inference.model import PytcModel
    from lsd_experiments.families.pytc.inference.patches import make_patches
    from lsd_experiments.families.pytc.inference.sweeping import sweep
    from lsd_experiments.geometry import Box
    from lsd_experiments.prediction.block import to_disk_range

    config = configuration(PATCH, STEP, (0, 0, 0), AUG_NUM=turns)
    image = Image(Volume("raw", "", grays(VOLUME), (1.0,) * 3, (0.0,) * 3, Box.of_shape(VOLUME)), (0, 255), ((0, 0),) * 3)
    model, ensemble = PytcModel(config, network(config)), ensemble_of(config, True)
    patches = make_patches(config, image, ensemble)

    def work() -> np.ndarray:
        found = np.empty((3, *VOLUME), np.uint8)
        for box, outputs in sweep(patches, lambda raws: ensemble.predict_all(model.predict_all, [{"raw": r} for r in raws],
                                                                            patches.core), 1):
            found[(slice(None), *box.slices)] = to_disk_range(outputs["affs"])
        return found

    return work


def monai(turns: int) -> Callable[[], np.ndarray]:
    import torch

    from lsd_experiments.families.pytc.inference.heads import ensemble_of

    config = configuration(PATCH, STEP, (0, 0, 0), AUG_NUM=turns)
    made, several = network(config), ensemble_of(config, True).turns
    infer = inferer(PATCH, STEP)
    raw = grays(VOLUME)

    def work() -> np.ndarray:
        volume = (raw.astype(np.float32) / 255 - 0.5) / 0.5
        total = np.zeros((3, *VOLUME), np.float32)
        with torch.inference_mode():
            for turn in several:
                turned = torch.from_numpy(np.ascontiguousarray(turn.forward(volume)))[None, None]
                total += turn.back(infer(turned, lambda patch: torch.sigmoid(made(patch)))[0].numpy())
        return (total / len(several) * 255).astype(np.uint8)

    return work


def inferer(patch: tuple[int, ...], step: tuple[int, ...]) -> Any:
    """What SlidingWindowInferer calls, with our weights."""
    import torch
    from monai.inferers import sliding_window_inference

    from lsd_experiments.prediction.tiling import blending

    overlap = [1 - (by + 0.5) / size for by, size in zip(step, patch, strict=True)]  # it takes whole steps
    weights = torch.from_numpy(blending("gaussian", patch))[None, None]
    return lambda volume, made: sliding_window_inference(volume, patch, 1, made, overlap, roi_weight_map=weights)


def ours_large(directory: str) -> Callable[[], None]:
    from lsd_experiments.families.pytc.inference import inferring
    from lsd_experiments.families.pytc.inference.model import PytcModel

    config = configuration(LARGE_PATCH, LARGE_STEP, PAD, INPUT_PATH=directory, IMAGE_NAME="raw.h5", OUTPUT_PATH=directory)
    model = PytcModel(config, slight())
    PytcModel.read = classmethod(lambda cls, *_: model)  # type: ignore[method-assign, assignment]
    return lambda: (inferring.infer(config, "none", overwrite=True), None)[1]


def monai_large(_: str) -> Callable[[], None]:
    import torch

    made, infer = slight(), inferer(LARGE_PATCH, LARGE_STEP)
    raw = grays(LARGE)

    def work() -> None:
        volume = np.pad((raw / np.float32(255) - np.float32(0.5)) / np.float32(0.5), [(by, by) for by in PAD], mode="reflect")
        with torch.inference_mode():
            found = infer(torch.from_numpy(volume)[None, None], lambda patch: torch.sigmoid(made(patch)))[0]
            inner = tuple(slice(by, -by) for by in PAD)
            found[(slice(None), *inner)].mul_(255).to(torch.uint8)

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each, of which the best counts (default: 3)")
    options = parser.parse_args()
    there = importlib.util.find_spec("monai") is not None
    if not there:
        print("monai is not installed: left out", file=sys.stderr)
    print(machine(), HEADER, sep="\n")
    for work, turns in (("64 patches", 0), ("64 patches, 16 turns", 16)):
        candidates: dict[str, tuple[Any, ...]] = {"ours": (ours, turns)} | ({"monai": (monai, turns)} if there else {})
        runs = take_turns(candidates, options.repeat)
        if there:
            apart = np.abs(runs["ours"].result.astype(int) - runs["monai"].result).max()
            assert apart <= 1, f"results are {apart} gray values apart"
        print(rows(work, runs), flush=True)
    with tempfile.TemporaryDirectory() as directory:
        import h5py

        with h5py.File(Path(directory) / "raw.h5", "w") as file:
            file["main"] = grays(LARGE)
        runs = take_turns({"ours": (ours_large, directory)} | ({"monai": (monai_large, directory)} if there else {}), 1)
    print(rows("100 x 1024 x 1024", runs))
    print(f"of the whole volume in float32, {WHOLE:.2f} GiB: "
          + ", ".join(f"{name} {run.added / WHOLE:.2f}" for name, run in runs.items()))


if __name__ == "__main__":
    main()
