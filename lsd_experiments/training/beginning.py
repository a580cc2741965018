"""What is checked before a training begins, and what it says then."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsd_experiments import checkpoints, networks
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.datasets import Dataset
from lsd_experiments.locks import only_run
from lsd_experiments.networks import Network
from lsd_experiments.prediction.autocontext import find_lsd_network, takes_lsds
from lsd_experiments.prediction.loading import Trained
from lsd_experiments.training import options
from lsd_experiments.training.data import find_samples
from lsd_experiments.training.padding import label_padding
from lsd_experiments.training.places import find_places
from lsd_experiments.training.ranges import scaled_samples
from lsd_experiments.training.showing import check_showing
from lsd_experiments.writing import check_writable

LOCK = ".training.lock"  # of a training in its directory


def train_here(
    dataset: Dataset,
    targets: Callable[[Any], Any],
    directory: Path,
    asked: options.TrainingOptions,
    malis_from: int | None,
) -> int:
    """Train the network of ``directory`` as :func:`lsd_experiments.training.main` says; returns the exit status."""
    described = networks.read(directory / "train_net.json")
    with only_run(directory, lock=directory / LOCK, work="another training is at work in this directory"):
        return _train_alone(dataset, targets, directory, asked, described, malis_from)


def _train_alone(
    dataset: Dataset,
    targets: Callable[[Any], Any],
    directory: Path,
    asked: options.TrainingOptions,
    described: networks.NetworkFile,
    malis_from: int | None,
) -> int:
    """Train, as the only one in ``directory``; returns the exit status."""
    network = asked.applied_to(described.network)
    input_shape = asked.input_shape or described.input_shape
    output_shape = network.output_shape(input_shape)
    checkpoint = checkpoints.find_checkpoint(directory)
    if checkpoint is not None:
        checkpoints.require_same_network(network, checkpoint)
        if checkpoint.iteration >= asked.iterations:
            print(
                f"nothing to do: {checkpoint.path.name} is at iteration {checkpoint.iteration}, {asked.iterations} "
                f"{'was' if asked.iterations == 1 else 'were'} asked for"
            )
            return 0
    if asked.malis_from is None and malis_from is not None:
        asked = dataclasses.replace(asked, malis_from=_malis_from(malis_from, checkpoint))
    dataset = dataclasses.replace(dataset, parity=_parity(asked.parity, dataset, checkpoint))
    lsds = _lsd_network(network, asked, directory, checkpoint)
    padding = label_padding(dataset, network, output_shape)
    found = find_samples(dataset, asked.data, directory)
    placed = []
    for sample in found:
        placed.append(find_places(sample, output_shape, padding, dataset.min_masked))
        if not asked.force:
            check_showing(sample)
    scaled, note, said = scaled_samples(found, asked.raw_range, checkpoint, lsds)
    log_dir = Path(asked.log_dir or directory / "log")
    for path in (directory, directory / "snapshots", log_dir):
        check_writable(path)
    where = f"{checkpoint.path.name}" if checkpoint else "the start, as there is no checkpoint"
    print(f"training until iteration {asked.iterations}, from {where}", file=sys.stderr)
    if said:
        print(said, file=sys.stderr)

    from lsd_experiments import frameworks

    frameworks.import_gunpowder()
    from lsd_experiments.training.loop import train
    from lsd_experiments.training.run import Run

    run = Run(dataset, network, input_shape, asked, checkpoint, directory, log_dir, lsds, note)
    return train(run, list(zip(scaled, placed, strict=True)), targets)


def _malis_from(default: int, checkpoint: Checkpoint | None) -> int:
    """Where the MALIS phase begins if nobody says: where it did in the training that goes on, else at ``default``."""
    recorded = _recorded(checkpoint, "malis_from")
    return default if recorded is None else int(recorded)


def _parity(asked: bool | None, dataset: Dataset, checkpoint: Checkpoint | None) -> bool:
    """Whether targets are as published: as asked for, else as in the training that goes on, else as the dataset has it."""
    recorded = _recorded(checkpoint, "parity")
    return next((bool(value) for value in (asked, recorded) if value is not None), dataset.parity)


def _recorded(checkpoint: Checkpoint | None, option: str) -> Any:
    """What an option was in the training that goes on; None if nobody knows."""
    return checkpoint.record.get("provenance", {}).get("parameters", {}).get(option) if checkpoint else None


def _lsd_network(
    network: Network, asked: options.TrainingOptions, directory: Path, checkpoint: Checkpoint | None
) -> Trained | None:
    """The frozen network that makes the LSDs, if ``network`` takes any."""
    if not takes_lsds(network):
        return None
    record = checkpoint.record.get("lsds") if checkpoint else None
    return find_lsd_network(directory, asked.lsds_setup, asked.lsds_checkpoint, record)
