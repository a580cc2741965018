"""The command behind 02_train/plan.py."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.installation import ROOT

if TYPE_CHECKING:
    from lsd_experiments.families.lsd.planning.design import Plan
    from lsd_experiments.families.lsd.planning.files import Places
    from lsd_experiments.families.lsd.planning.survey import Survey

ZYX = ("Z", "Y", "X")
OF_TRAINING = re.compile(r",? or (pass --force|say which values are 0 and 1 by .*)")
MEMORY = 12.0  # GiB, of the GPU that the published networks were made for
PICTURE = "plan.png"


def main(description: str | None, experiments: Path) -> None:
    """Run the command; ``experiments`` is 02_train."""
    cli.run(lambda options: plan_experiments(options, experiments), parser(description))


def plan_experiments(options: argparse.Namespace, experiments: Path) -> None:
    """Look at the data, write the experiments, and print why each number is what it is.

    :raises UserError: if something is there already, or the volumes cannot be trained on; nothing is written
    """
    from lsd_experiments.families.lsd.planning import files
    from lsd_experiments.families.lsd.planning.design import make_plan
    from lsd_experiments.families.lsd.planning.survey import shown, warnings
    from lsd_experiments.families.lsd.planning.volumes import Named, crops_of
    from lsd_experiments.writing import put_text

    places = files.Places.of(options.name, experiments)
    places.check(options.overwrite)
    crops = crops_of(Named(options.raw, options.labels, options.mask, options.voxel_size, options.labels_offset))
    with files.beside(places.directory) as place:
        put_text(place / files.VOLUME, files.volume_text(*crops))
        survey = _survey(place, places.directory.name)
        for what, found in shown(survey):
            print(f"{what:<12}{found}")
        for line in warnings(survey):
            print(f"warning: {line}", file=sys.stderr)
        plan = make_plan(places.directory.name, survey, options.memory)
        print(f"\n{files.shown(plan)}\n", flush=True)
        files.write(plan, place, places)
        if not options.no_picture:
            _draw(plan, survey, place)
        places.check(options.overwrite)  # another run may have been faster
        written = files.put(place, places)
    print("\n".join(map(str, written)))
    print(_next(plan, places), file=sys.stderr)


def _survey(place: Path, name: str) -> "Survey":
    """What the volume in ``place`` holds, which can be trained on.

    :raises UserError: if it cannot
    """
    from lsd_experiments import arrays
    from lsd_experiments.datasets.dataset import Dataset
    from lsd_experiments.families.lsd.planning.files import LABELS, VOLUME
    from lsd_experiments.families.lsd.planning.survey import survey
    from lsd_experiments.training.data import open_sample
    from lsd_experiments.training.ranges import scaled_samples
    from lsd_experiments.training.showing import check_showing

    container = str(place / VOLUME)
    raw = arrays.open_volume(container, "volumes/raw")
    dataset = Dataset(name=name, voxel_size=raw.voxel_size, directory=place, volumes=(VOLUME,), labels=LABELS)
    sample = open_sample(dataset, container)
    try:
        check_showing(sample)
        scaled_samples([sample], None, None, None)
    except UserError as error:  # whose remedy may be an option of training
        raise UserError(OF_TRAINING.sub("", str(error))) from error
    return survey(sample)


def _draw(plan: "Plan", survey: "Survey", place: Path) -> None:
    """The picture; a plan without one is a plan, too."""
    from lsd_experiments.families.lsd.planning.drawing import draw_plan

    draw_plan(plan, survey, place, place / PICTURE)


def _next(plan: "Plan", places: "Places") -> str:
    """What to do now."""
    return (f"\nLook at {places.directory / PICTURE} first: raw and labels must fit. Then\n"
            f"  cd {places.directory / 'mtlsd'}\n  python train.py 400000 --validate-every 500\n"
            f"  cd {ROOT / '03_predict'}\n  python run.py {places.config}\n"
            f"Training is estimated to take {plan.sized.training_gib:.2g} GiB. For a device of another memory than "
            f"{plan.memory:g} GiB: --memory GIB --overwrite")


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line."""
    made = cli.parser(description)
    add = made.add_argument
    add("name", metavar="NAME", help="the dataset's: 02_train/NAME, 03_predict/NAME.toml; or a directory that begins with / or .")
    volume = ("CONTAINER", "DATASET")
    add("--raw", nargs="+", required=True, metavar=volume, help="any format of docs/formats.md; DATASET if it has several")
    add("--labels", nargs="+", required=True, metavar=volume, help="an id for each object, 0 is background")
    add_where(made)
    add("--memory", type=cli.positive_number, default=MEMORY, metavar="GIB",
        help="of the device that trains and predicts (default: %(default)g, as when the published networks were made)")
    add("--overwrite", action="store_true", help="write files that are there anew; checkpoints stay, and may not fit any more")
    add("--no-picture", action="store_true", help="leave the picture out")
    return made


def add_where(made: argparse.ArgumentParser) -> None:
    """The options that say what raw and labels do not say themselves."""
    add = made.add_argument
    add("--mask", nargs="+", metavar=("CONTAINER", "DATASET"),
        help="1 where labels count (default: labels_mask beside the labels, if there)")
    add("--voxel-size", type=cli.positive_number, nargs=3, metavar=ZYX, help="nm, where a volume stores none, or a wrong one")
    add("--labels-offset", type=float, nargs=3, metavar=ZYX, help="nm, where labels begin in the world, if they do not say it")
