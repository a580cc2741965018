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
from lsd_experiments.scenario import run_script

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
    _step("a synthetic volume, and the part of it to train on", "01_data", "make_synthetic.py", str(volume), "--shape", *SHAPE)
    (DEMO / "train.json").write_text(json.dumps({"container": "synthetic.zarr", **TRAIN_PART}, indent=2) + "\n")
    _step("the network", setup, "mknet.py")
    _step("training", setup, "train.py", ITERATIONS, "--data", str(DEMO / "train.json"), "--learning-rate", "1e-3", "--seed", "0",
          "--snapshot-every", "100")
    _step("prediction, segmentation and evaluation of the other part", "03_predict", "run.py", CONFIG.name)
    segmentation = _segmentation()
    picture = DEMO / "segmentation.png"
    _step("a picture", "03_predict", "picture.py", str(picture), "--raw", str(volume), "volumes/raw",
          *_of("affs"), *_of("lsds"), "--segmentation", str(DEMO / "prediction.zarr"), segmentation,
          "--labels", str(volume), "volumes/labels/neuron_ids")
    return _report(picture, time.monotonic() - start)


def _step(title: str, directory: str | Path, script: str, *arguments: str) -> None:
    """Run a script of the repository in its directory, as a user would.

    :raises SystemExit: with its status, if it fails; it has said why.
    """
    where = ROOT / directory
    shown = " ".join(_short(argument, where) for argument in arguments)
    print(f"\n==> {title}\n    cd {where.relative_to(ROOT)}; python {script} {shown}", file=sys.stderr, flush=True)
    if status := run_script(where, script, *arguments).returncode:
        raise SystemExit(status)


def _short(argument: str, where: Path) -> str:
    """A path as a user in ``where`` would type it."""
    path = Path(argument)
    if not path.is_absolute():
        return argument
    up = "../" * len(where.relative_to(ROOT).parts)
    return up + str(path.relative_to(ROOT))


def _of(name: str) -> list[str]:
    return [f"--{name}", str(DEMO / "prediction.zarr"), f"volumes/{name}"]


def _segmentation() -> str:
    """The dataset of the newest segmentation."""
    found = sorted((DEMO / "prediction.zarr" / "volumes").glob("segmentation_*"), key=lambda path: path.stat().st_mtime)
    return f"volumes/{found[-1].name}"


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
