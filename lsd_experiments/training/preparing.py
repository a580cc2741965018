"""What is looked at before a training begins, so that nobody hears of it after a day."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from lsd_experiments import checkpoints, networks
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.checkpoints.checkpoint import AVERAGE
from lsd_experiments.datasets import FILE, Dataset, load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.locks import only_run
from lsd_experiments.prediction.autocontext import LSDS, find_lsd_network
from lsd_experiments.prediction.loading import TrainedNetwork
from lsd_experiments.training.data import find_samples
from lsd_experiments.training.experiment import Experiment
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.padding import label_padding
from lsd_experiments.training.places import find_places
from lsd_experiments.training.ranges import scaled_samples
from lsd_experiments.training.showing import check_showing
from lsd_experiments.training.stopping import LOCK, WORK
from lsd_experiments.training.training import Training
from lsd_experiments.training.validation_samples import kept_samples
from lsd_experiments.writing import check_writable


def train_here(experiment: Experiment, directory: Path, options: TrainingOptions) -> int:
    """Train ``experiment`` in ``directory``, which is that of its train.py; returns the exit status."""
    read = networks.read(directory / experiment.network)
    with only_run(directory, lock=directory / LOCK, work=WORK):
        training = prepare(experiment, read, directory, options)
        return training.run() if training else 0


def prepare(
    experiment: Experiment, read: networks.NetworkFile, directory: Path, options: TrainingOptions
) -> Training | None:
    """The training, if there is anything left to do; nothing is written yet.

    :raises UserError: if it cannot begin: nobody wants to hear that after a day.
    """
    network = options.applied_to(read.network)
    input_shape = options.input_shape or read.input_shape
    output_shape = network.output_shape(input_shape)
    checkpoint = checkpoints.find_checkpoint(directory)
    if checkpoint is not None:
        checkpoints.require_same_network(network, checkpoint)
        if checkpoint.iteration >= options.iterations:
            print(
                f"nothing to do: {checkpoint.path.name} is at iteration {checkpoint.iteration}, {options.iterations} "
                f"{'was' if options.iterations == 1 else 'were'} asked for"
            )
            return None
    experiment.check_network(network)
    experiment, options = decided(experiment, options, checkpoint)
    first = _first_network(experiment, options, directory, checkpoint)
    dataset = _dataset(experiment, directory)
    padding = label_padding(experiment, dataset.voxel_size, output_shape)
    found = find_samples(dataset, options.data, options.resample)
    places = []
    for sample in found:
        places.append(find_places(sample, output_shape, padding, experiment.min_masked))
        if not options.force:
            check_showing(sample)
    scaled, note, said = scaled_samples(found, options.raw_range, checkpoint, first, dataset.raw_range)
    samples = list(zip(scaled, places, strict=True))
    kept = kept_samples(dataset, options, note["ranges"])
    training = Training(
        experiment, dataset, network, input_shape, options, directory, samples, checkpoint, first, raw_range=note, kept=kept
    )
    for path in (directory, directory / "snapshots", training.log_dir):
        check_writable(path)
    where = f"{checkpoint.path.name}" if checkpoint else "the start, as there is no checkpoint"
    print(f"training until iteration {options.iterations}, from {where}", file=sys.stderr)
    if said:
        print(said, file=sys.stderr)
    return training


def _dataset(experiment: Experiment, directory: Path) -> Dataset:
    """That which train.py names; a dataset.toml may lie in the directory, too, where it was copied to.

    :raises UserError: if there is none: another dataset than was meant is not taken in its place
    """
    named = directory / experiment.dataset
    if not named.is_file() and named.name != FILE:
        raise UserError(f"{named}: no such file, which train.py names as its dataset. Write it, or correct train.py")
    return load_dataset(named if named.is_file() else directory)


def decided(
    experiment: Experiment, options: TrainingOptions, checkpoint: Checkpoint | None
) -> tuple[Experiment, TrainingOptions]:
    """Parity, averages, where MALIS begins: as asked for, else as in the training that goes on, else as the experiment says."""
    recorded = checkpoint.record.get("provenance", {}).get("parameters", {}) if checkpoint else {}

    def first_known(*values: Any) -> Any:
        return next((value for value in values if value is not None), None)

    experiment = dataclasses.replace(
        experiment, parity=bool(first_known(options.parity, recorded.get("parity"), experiment.parity))
    )
    average = checkpoint.record.get(AVERAGE, {}) if checkpoint else {}
    options = dataclasses.replace(options, average_weights=first_known(options.average_weights, average.get("decay")))
    if experiment.malis_from is None:
        return experiment, options
    malis_from = int(first_known(options.malis_from, recorded.get("malis_from"), experiment.malis_from))
    return experiment.with_malis_from(malis_from), dataclasses.replace(options, malis_from=malis_from)


def _first_network(
    experiment: Experiment, options: TrainingOptions, directory: Path, checkpoint: Checkpoint | None
) -> TrainedNetwork | None:
    """The frozen network of which this one takes the prediction, if it takes any."""
    if experiment.first_network is None:
        return None
    record = checkpoint.record.get(LSDS) if checkpoint else None
    return find_lsd_network(directory, options.lsds_setup, options.lsds_checkpoint, record)
