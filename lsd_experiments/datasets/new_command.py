"""The command behind 02_train/new.py."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.datasets import Dataset

ZYX = ("Z", "Y", "X")
NAMED = ("raw", "labels", "labels_mask", "unlabeled_mask")


def main(description: str | None, experiments: Path) -> None:
    """Run the command; ``experiments`` is 02_train."""
    cli.run(lambda options: new_experiment(options, experiments), _parser(description))


def new_experiment(options: argparse.Namespace, experiments: Path) -> None:
    """Write the experiment that is asked for.

    :raises UserError: if it is there, or what it is to be like is not, or the volumes cannot be trained on; nothing is written
    """
    from lsd_experiments.datasets.dataset import FILE, load_dataset
    from lsd_experiments.datasets.new_files import kept_if_done, made, write_experiment

    directory, like = place(options.experiment, experiments), place(options.like, experiments)
    if directory.exists():
        raise UserError(f"{directory}: is there already. Name another variant, or remove it")
    if not like.is_dir():
        raise UserError(f"--like {options.like}: no such directory. Name an experiment, like fib25/mtlsd")
    other, file = load_dataset(like), directory.parent / FILE
    given = [name for name in ("data", "voxel_size", *NAMED) if getattr(options, name)]
    if file.is_file() and given:
        raise UserError(f"{file}: says what the data are. Leave out --{given[0].replace('_', '-')}, or name another dataset")
    with made(directory.parent), kept_if_done() as crops:
        dataset = load_dataset(file) if file.is_file() else _looked_at(options, directory.parent, other, crops)
        written = write_experiment(directory, like, dataset, other, is_new=not file.is_file())
    print("\n".join(map(str, [*crops, *written])))
    for line in _advice(dataset, other, options.like):
        print(line, file=sys.stderr)


def place(name: str, experiments: Path) -> Path:
    """The directory of the experiment ``name``: ``<dataset>/<variant>`` of ``experiments``, or a path that says that it is one.

    :raises UserError: if it is neither
    """
    path = Path(name).expanduser()
    if path.is_absolute() or name.startswith("."):
        return path.resolve()
    if len(path.parts) != 2 or ".." in path.parts:
        raise UserError(f"{name}: an experiment is DATASET/VARIANT of 02_train, or a path that begins with / or . Name it so")
    return experiments / path


def _looked_at(options: argparse.Namespace, place: Path, other: "Dataset", crops: list[Path]) -> "Dataset":
    """What the volumes of ``--data`` are, which can be trained on; says what was found.

    Of those that store no voxel size there are ``crops`` then in ``place``, which say it.
    """
    from lsd_experiments.datasets.looking import look, with_voxel_size
    from lsd_experiments.training.data import open_sample
    from lsd_experiments.training.ranges import scaled_samples
    from lsd_experiments.training.showing import check_showing

    if not options.data:
        raise UserError(f"{place.name} is a new dataset: which volumes are its? Name them with --data")
    named = {key: getattr(options, key) for key in NAMED}
    containers = [with_voxel_size(container, options.voxel_size, other, place, crops, **named) for container in options.data]
    dataset = look(place.name, containers, other, options.voxel_size, **named)
    samples = [open_sample(dataset, container) for container in containers]
    for sample in samples:
        check_showing(sample)
        masks = ", ".join(mask.dataset for mask in sample.masks) or "no mask: all labels count"
        print(f"{sample.raw.container}: raw {sample.raw.dataset} ({sample.raw.dtype}, {_by(sample.raw.shape)} voxels), "
              f"labels {sample.labels.dataset} ({sample.labels.dtype}, {_by(sample.labels.shape)} where there is raw), {masks}",
              file=sys.stderr)  # fmt: skip
    _, _, said = scaled_samples(samples, None, None, None)
    if said:
        print(said, file=sys.stderr)
    return dataset


def _advice(dataset: "Dataset", other: "Dataset", like: str) -> list[str]:
    """What does not fit by itself."""
    if [*dataset.voxel_size] == [*other.voxel_size]:
        return []
    advice = [f"look at train.py and mknet.py: sigma, control points, offsets and pooling factors are those of {like}, for "
              f"voxels of {_by(other.voxel_size)} nm, not {_by(dataset.voxel_size)}"]
    if _alike(other.voxel_size) - _alike(dataset.voxel_size):
        advice.append(f"warning: voxels of {other.name} are alike along more axes: samples must not exchange axes that are not. "
                      "Correct 'sampling' in train.py before you train")
    return advice


def _alike(size: Sequence[float]) -> set[tuple[int, int]]:
    """Pairs of axes along which voxels are as long."""
    return {(a, b) for a in range(3) for b in range(a) if abs(size[a] - size[b]) <= 1e-3 * size[a]}


def _by(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    add = parser.add_argument
    add("experiment", metavar="DATASET/VARIANT", help="of 02_train; or a directory that begins with / or .")
    add("--like", required=True, metavar="DATASET/VARIANT", help="the experiment that it is copied from; or a directory")
    add("--data", nargs="+", metavar="CONTAINER", help="training volumes of a new dataset: zarr, N5, HDF5 or crop.json")
    add("--voxel-size", type=cli.positive_number, nargs=3, metavar=ZYX, help="nm (default: what the first volume says)")
    for name in NAMED:
        add(f"--{name.replace('_', '-')}", metavar="DATASET", help="in each volume (default: found by its name)")
    return parser
