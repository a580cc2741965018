"""``./setup.sh demo``: from nothing to an evaluated segmentation, with the commands that users type.

    demo/synthetic.zarr       a synthetic EM-like volume and its true segmentation
    demo/train.json           the part of it that the network is trained on
    demo/prediction.zarr      affinities, LSDs, fragments and segmentation of the other part
    demo/prediction_*         scores: JSON, CSV, plot
    demo/segmentation.png     raw, affinities, LSDs, segmentation and ground truth of one section

What is there already is not made again.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.installation import ROOT
from lsd_experiments.scenario import newest_segmentation, step

DEMO = ROOT / "demo"
CONFIG = ROOT / "03_predict" / "synthetic.toml"
SHAPE = ("84", "400", "400")  # voxels
TRAIN_PART = {"offset": [400, 900, 1800], "size": [1680, 3600, 2160]}  # nm; 03_predict/synthetic.toml predicts the rest
ITERATIONS = "500"
GOOD = 0.5  # VOI sum that the demo must reach


def main() -> None:
    """Run the demo."""
    cli.run(_demo, cli.parser(__doc__))


def _demo(arguments: argparse.Namespace) -> int:
    if not CONFIG.is_file():
        raise UserError(f"{ROOT}: no checkout of the repository, whose commands the demo runs. Clone it, and run ./setup.sh demo")
    start = time.monotonic()
    DEMO.mkdir(exist_ok=True)
    volume = DEMO / "synthetic.zarr"
    setup = ROOT / "02_train" / "synthetic" / "mtlsd"
    step("a synthetic volume, and the part of it to train on", "01_data", "make_synthetic.py", str(volume), "--shape", *SHAPE)
    (DEMO / "train.json").write_text(json.dumps({"container": "synthetic.zarr", **TRAIN_PART}, indent=2) + "\n")
    step("the network", setup, "mknet.py")
    step("training", setup, "train.py", ITERATIONS, "--data", str(DEMO / "train.json"), "--learning-rate", "1e-3", "--seed", "0",
          "--snapshot-every", "100")
    step("prediction, segmentation and evaluation of the other part", "03_predict", "run.py", CONFIG.name)
    segmentation = newest_segmentation(DEMO / "prediction.zarr")
    picture = DEMO / "segmentation.png"
    step("a picture", "03_predict", "picture.py", str(picture), "--raw", str(volume), "volumes/raw",
          *_of("affs"), *_of("lsds"), "--segmentation", str(DEMO / "prediction.zarr"), segmentation,
          "--labels", str(volume), "volumes/labels/neuron_ids")
    return _report(picture, time.monotonic() - start)


def _of(name: str) -> list[str]:
    return [f"--{name}", str(DEMO / "prediction.zarr"), f"volumes/{name}"]


def _report(picture: Path, seconds: float) -> int:
    scores = json.loads((DEMO / "prediction_hist_quant_50.json").read_text())
    best = scores["best"]["hist_quant_50"]
    print(f"\nBest threshold {best['threshold']:.2f}, on the part of the volume that the network was not trained on:")
    print(f"  VOI split {best['voi_split']:.3f}  merge {best['voi_merge']:.3f}  sum {best['voi_sum']:.3f}   "
          f"adapted Rand error {best['adapted_rand_error']:.3f}")
    print(f"Picture: {picture.relative_to(ROOT)}   ({seconds:.0f} s)")
    print("To look at it in neuroglancer:\n  .venv/bin/python 03_predict/view.py 03_predict/synthetic.toml")
    if best["voi_sum"] > GOOD:
        print(f"error: the VOI sum should be at most {GOOD}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    main()
