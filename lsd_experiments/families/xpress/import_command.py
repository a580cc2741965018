"""The command behind 02_train/import_checkpoint.py."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.families.xpress.haiku import HaikuCheckpoint
    from lsd_experiments.networks import Network


def main(description: str | None, experiments: Path) -> None:
    """Run the command; ``experiments`` is 02_train."""
    parser = cli.parser(description)
    parser.add_argument("setup", metavar="SETUP", help="the directory of its network, such as xpress/baseline")
    parser.add_argument("file", metavar="FILE", help="the pickled checkpoint, model_checkpoint_<iteration>")
    parser.add_argument("--iteration", type=cli.positive, metavar="N", help="if the file's name does not say it")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint of this iteration")
    cli.run(lambda options: import_checkpoint(options, experiments), parser)


def import_checkpoint(options: argparse.Namespace, experiments: Path) -> None:
    """Write our checkpoint of what ``options.file`` holds.

    :raises UserError: if it cannot be read, is of another network, or a checkpoint of its iteration is there
    """
    from lsd_experiments import networks
    from lsd_experiments.checkpoints import checkpoint_path
    from lsd_experiments.datasets import load_dataset
    from lsd_experiments.families.xpress import haiku

    setup = Path(options.setup) if Path(options.setup).is_dir() else experiments / options.setup
    described = networks.read(setup / "train_net.json")
    if described.network.architecture != "funlib":
        raise UserError(f"{setup}: no published checkpoint of this network is a pickle; those of XPRESS's baseline are")
    dataset = load_dataset(setup)
    iteration = options.iteration or _iteration(options.file)
    path = checkpoint_path(setup, iteration)
    if path.exists() and not options.overwrite:
        raise UserError(f"{path}: is there already. Pass --overwrite to replace it")
    found = haiku.read_haiku(options.file, described.network)
    print(_write(found, described.network, dataset.voxel_size, setup, iteration, Path(options.file)))


def _iteration(file: str) -> int:
    match = re.search(r"_(\d+)$", Path(file).name)
    if not match:
        raise UserError(f"{file}: its name does not end in _<iteration>. Say it by --iteration")
    return int(match[1])


def _write(
    found: "HaikuCheckpoint", network: "Network", voxel_size: tuple[float, ...], setup: Path, iteration: int, file: Path
) -> Path:
    from lsd_experiments import frameworks

    frameworks.import_keras()
    import keras

    from lsd_experiments.checkpoints import save_checkpoint
    from lsd_experiments.checkpoints.adam import restore_adam
    from lsd_experiments.checkpoints.comparing import layer_weights
    from lsd_experiments.prediction.loading import sha256
    from lsd_experiments.provenance import provenance

    model = network.build(network.smallest_input_shape)
    model.compile(keras.optimizers.Adam(beta_1=0.95, beta_2=0.999, epsilon=1e-8))
    for layer in model.layers:
        for name, variable in layer_weights(layer).items():
            variable.assign(found.weights[name])
    restore_adam(model, lambda name: (found.first[name], found.second[name]), found.steps)
    made = provenance("import_checkpoint", {"iteration": iteration}, {"file": file.name, "sha256": sha256(file)})
    return save_checkpoint(model, setup, network, iteration, {"voxel_size": list(voxel_size), "provenance": made})
