"""``./setup.sh segment``: from raw and labels to an evaluated segmentation of all of raw, in about the minutes that are given.

    ./setup.sh segment raw.zarr labels.zarr --minutes 20
    ./setup.sh segment sections/ labels.npy --voxel-size 40 8 8 --name mylab

    02_train/NAME/             the plan, its picture, and the network that is trained (mtlsd)
    03_predict/NAME.zarr       affinities, LSDs, fragments and segmentation
    03_predict/NAME_*          scores on the part that was kept back: JSON, CSV, plot
    03_predict/NAME.png        a section of it, through that part

Training takes the minutes that the rest is thought to leave, and at the end it says what more time would bring. Interrupted, the
same command goes on; with more minutes, it trains on and does the rest anew.
"""

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.families.lsd.forecast import Validation, shown, validations
from lsd_experiments.families.lsd.planning.command import add_where
from lsd_experiments.installation import ROOT
from lsd_experiments.scenario import newest_segmentation, step
from lsd_experiments.writing import put_text

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume

MINUTES = 15.0
ON_GPU, ON_CPU = 12.0, 0.3  # GiB of the network that is trained: on a CPU a small one, or no network learns in minutes
PROBE = 0.15  # of the time: a first training, which tells how long a step takes
START = 15  # seconds that a script takes before it begins, with frameworks
PER_VOXEL = 4e-6  # seconds of segmentation and evaluation
VALIDATIONS = 6
SOME_DAY = 10_000_000  # iterations, which nobody reaches: the clock ends training
LEARNING_RATE = "1e-3"  # of short trainings, as in the demo
VARIANT = "mtlsd"


def main() -> None:
    """Run the command."""
    cli.run(segment, parser())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = cli.parser(__doc__)
    made.prog = "./setup.sh segment"
    add = made.add_argument
    add("raw", metavar="RAW", help="any format of docs/formats.md")
    add("labels", metavar="LABELS", help="an id for each object, 0 is background; of a part of raw, or of all of it")
    add("--raw-dataset", metavar="DATASET", help="in RAW (default: found by its name)")
    add("--labels-dataset", metavar="DATASET", help="in LABELS (default: found by its name)")
    add_where(made)
    add("--minutes", type=cli.positive_number, default=MINUTES, metavar="M", help="in all, about (default: %(default)g)")
    add("--name", help="of what is written: 02_train/NAME, 03_predict/NAME.toml; or a directory that begins with / or . "
        "(default: that of RAW)")
    add("--memory", type=cli.positive_number, metavar="GIB",
        help=f"of the device (default: {ON_GPU:g}, without a GPU {ON_CPU:g}: a small network, which learns in minutes)")
    return made


def segment(options: argparse.Namespace) -> int:
    """Do what is left of it.

    :raises UserError: if NAME is a plan on other volumes
    """
    from lsd_experiments.families.lsd.planning.files import VOLUME, Places

    experiments = ROOT / "02_train"
    if not experiments.is_dir():
        raise UserError(f"{ROOT}: no checkout of the repository, whose commands this runs. Clone it, and run ./setup.sh segment")
    begun = time.monotonic()
    name = options.name or _name_of(options.raw)
    places = Places.of(name, experiments)
    words = [[container, *([dataset] if dataset else [])] for container, dataset in
             ((options.raw, options.raw_dataset), (options.labels, options.labels_dataset))]
    if places.directory.exists():
        _check_same(places.directory / VOLUME, options, words)
    else:
        in_one = places.config.parent == places.directory
        named = str(places.directory) if in_one else name  # a relative path is of this directory, not of 02_train
        step("what is in the data, and a plan", "02_train", "plan.py", named, "--raw", *map(_full, words[0]), "--labels",
             *map(_full, words[1]), *_where(options), "--memory", f"{_memory(options):g}")
    setup = places.directory / VARIANT
    train(setup, places.config, options.minutes, time.monotonic() - begun)
    step("prediction, segmentation, and evaluation of the part that was kept back", "03_predict", "run.py",
         _typed(places.config))
    return _finish(places.directory, places.config, time.monotonic() - begun)


def train(setup: Path, config: Path, minutes: float, spent: float) -> None:
    """Train the network in ``setup`` for what the rest leaves of ``minutes``, of which ``spent`` seconds are gone.

    What was trained in a run before counts.
    """
    begun, curve = time.monotonic(), validations(setup)
    before = curve[-1].seconds if curve else 0.0
    if not curve:
        _train(setup, PROBE * minutes, SOME_DAY, "training, for a start: how long does a step take?")
        curve = validations(setup)
    if not curve:
        raise UserError(f"{setup}: was not trained for a single step in that time. Give it more --minutes")
    rest, last = Rest.of(setup, config, curve[-1]), curve[-1].seconds
    free = 60 * minutes - spent - before - (time.monotonic() - begun) - rest.seconds
    target = _target(setup.parent / "segment.json", minutes, last + max(0.0, free))
    left = max(0.0, target - last)
    print(f"\n{rest}; training for {left / 60:.1f} minutes more", file=sys.stderr)
    if left > START:
        _train(setup, left / 60, max(1, int(left / rest.step / VALIDATIONS)), "training")


def _train(setup: Path, minutes: float, every: int, title: str) -> None:
    step(title, setup, "train.py", str(SOME_DAY), "--minutes", f"{max(0.05, minutes):.3g}", "--validate-every", str(every),
         "--learning-rate", LEARNING_RATE, "--save-every", str(max(100, min(every, 10_000))), "--seed", "0")


def _target(path: Path, minutes: float, seconds: float) -> float:
    """Seconds of training in all: as decided when this was begun, or ``seconds``, if there are more ``minutes`` now."""
    if path.is_file():
        decided = json.loads(path.read_text())
        if decided["minutes"] >= minutes:
            return float(decided["training_seconds"])
    put_text(path, json.dumps({"minutes": minutes, "training_seconds": seconds}) + "\n")
    return seconds


@dataclass(frozen=True)
class Rest:
    """What comes after training, estimated: ``step``: seconds of one training step; ``seconds``: of all that comes after."""

    step: float
    seconds: float

    @classmethod
    def of(cls, setup: Path, config: Path, last: Validation) -> "Rest":
        """A block that is predicted takes a third of what a training step with as many operations does."""
        from lsd_experiments import networks
        from lsd_experiments.arrays import open_volume, to_box
        from lsd_experiments.networks.layers import gflop
        from lsd_experiments.pipeline.configuration import load_pipeline

        settings = load_pipeline(config)
        raw = open_volume(str(settings.raw_file), settings.raw_dataset)
        trained, predicted = (networks.read(setup / f"{name}.json") for name in ("train_net", "config"))
        output = predicted.network.output_shape(predicted.input_shape)
        predict = settings.predict
        shape = raw.shape if predict.roi_offset is None else to_box(raw, predict.roi_offset, predict.roi_shape or ()).shape
        blocks = math.prod(-(-size // out) for size, out in zip(shape, output, strict=True))
        per_step = max(last.seconds - START, last.seconds / 2) / last.iteration
        per_block = per_step * gflop(predicted.network, predicted.input_shape) / (3 * gflop(trained.network, trained.input_shape))
        return cls(per_step, blocks * per_block + PER_VOXEL * math.prod(shape) + 3 * START)

    def __str__(self) -> str:
        return f"a step takes {self.step:.2g} s, prediction and all that follows about {self.seconds / 60:.1f} minutes"


def _finish(directory: Path, config: Path, seconds: float) -> int:
    from lsd_experiments.arrays import open_volume
    from lsd_experiments.families.lsd.planning.files import KEPT, LABELS, VOLUME
    from lsd_experiments.pipeline.configuration import load_pipeline

    settings = load_pipeline(config)
    out = settings.out_file
    picture = Path(out).with_suffix(".png")
    labels, kept = open_volume(directory / VOLUME, LABELS), open_volume(directory / KEPT)
    section = round((kept.offset[0] - labels.offset[0]) / labels.voxel_size[0]) + kept.shape[0] // 2
    step("a picture, in which that part is", "03_predict", "picture.py", str(picture),
         "--raw", str(directory / VOLUME), "volumes/raw",
         *(word for name in ("affs", "lsds") for word in (f"--{name}", out, f"volumes/{name}")),
         "--segmentation", out, newest_segmentation(out), "--labels", str(directory / VOLUME), LABELS,
         "--section", str(section), "--title", f"kept back: {_spans(labels, kept)}")
    scores = json.loads(Path(f"{settings.scores_prefix}.json").read_text())
    (best,) = scores["best"].values()
    print(f"\nBest threshold {best['threshold']:.2f}, on the part that training did not see:")
    print(f"  VOI split {best['voi_split']:.3f}  merge {best['voi_merge']:.3f}  sum {best['voi_sum']:.3f}   "
          f"adapted Rand error {best['adapted_rand_error']:.3f}")
    print("\n".join(shown(validations(directory / VARIANT))))
    print(f"Picture: {picture}   ({seconds / 60:.1f} minutes)")
    print(f"To look at it in neuroglancer:\n  cd {ROOT}; .venv/bin/python 03_predict/view.py {config}")
    return 0


def _spans(labels: "Volume", kept: "Volume") -> str:
    """Along which axis, and from where to where, labels were kept back."""
    spans = [f"{axis} from {begin:g} to {end:g} nm" for axis, begin, end, inner, whole in
             zip("zyx", kept.offset, kept.end, kept.shape, labels.shape, strict=True) if inner < whole]
    return ", ".join(spans)


def _check_same(volume: Path, options: argparse.Namespace, words: Sequence[Sequence[str]]) -> None:
    """:raises UserError: if what is there is a plan on other volumes than are named now."""
    from lsd_experiments.families.lsd.planning.files import volume_text
    from lsd_experiments.families.lsd.planning.volumes import Named, crops_of

    asked = crops_of(Named(words[0], words[1], options.mask, options.voxel_size, options.labels_offset))
    if not volume.is_file() or volume.read_text() != volume_text(*asked):
        raise UserError(f"{volume.parent}: is there already, and not of these volumes. Name what is to be written by --name")


def _where(options: argparse.Namespace) -> list[str]:
    words: list[str] = []
    for key in ("mask", "voxel_size", "labels_offset"):
        if values := getattr(options, key):
            words += [f"--{key.replace('_', '-')}", *(_full(value) if key == "mask" else f"{value:.17g}" for value in values)]
    return words


def _memory(options: argparse.Namespace) -> float:
    from lsd_experiments.blockwise.machine import gpu_ids

    return float(options.memory or (ON_GPU if gpu_ids() else ON_CPU))


def _typed(config: Path) -> str:
    """As a user in 03_predict would name it."""
    return config.name if config.parent == ROOT / "03_predict" else str(config)


def _full(word: str) -> str:
    """The full path of what is there, since scripts run elsewhere."""
    return str(Path(word).resolve()) if Path(word).exists() else word


def _name_of(raw: str) -> str:
    """The last part of a path or an address, as a word."""
    last = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(raw.rstrip("/")).name.split(".")[0]).strip("_")
    return last or "volume"


if __name__ == "__main__":
    main()
