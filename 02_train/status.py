"""Try every experiment on this machine, and write the status table of docs/status.md.

    python status.py --print --only zebrafinch/mtlsd fib25/lsd

All directories of 02_train with a mknet.py are found, and tried as a user would, in a copy, with feature maps reduced to 2 at a
level: mknet.py at full width; if expected.toml names one, a checkpoint of TensorFlow 1 (of xpress, a pickle) with the published
names is written and loaded; train.py takes a step (two, for MALIS, one of each loss) at the directory's shapes; predict_scan.py
predicts a synthetic volume. A directory that fails at one of them gets the last line of its error in the table, which goes to the
screen with ``--print``, else into docs/status.md.
"""

import dataclasses
import datetime
import os
import pickle
import re
import runpy
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments import arrays, checkpoints, cli, frameworks, networks
from lsd_experiments.checkpoints.comparing import weight_shapes
from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.xpress import haiku
from lsd_experiments.networks.layers import parameters
from lsd_experiments.scenario import copy_experiment, run_script
from lsd_experiments.synthetic import synthesize

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENTS = ROOT / "02_train"
STATUS = ROOT / "docs/status.md"
BEGIN, END = "<!-- status: written by 02_train/status.py -->", "<!-- end of status -->"
WIDTH = ("--num-fmaps", "2", "--fmap-inc-factor", "1")
VOLUME = (96, 128, 128)  # voxels


class Failed(Exception):
    """A step of a directory did not end well."""


def main():
    """The command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--only", nargs="+", metavar="DATASET/VARIANT", help="these alone; with --print")
    parser.add_argument("--print", action="store_true", help="print the table, and leave docs/status.md as it is")
    cli.run(command, parser)


def command(options):
    """Try the experiments of ``--only``, and print the table or put it into docs/status.md."""
    there = found()
    asked = options.only or there
    for name in asked:
        if name not in there:
            raise UserError(f"--only {name}: no such experiment{nearest(name, there)}")
    if options.only and not options.print:
        raise UserError("--only: docs/status.md has all experiments. Pass --print, too")
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        for name in there:
            copy_experiment(EXPERIMENTS / name, work / "02_train" / name)
        rows = [row(work, name) for name in tqdm(in_order(asked), unit="directory")]
    text = table(rows)
    if options.print:
        print(text)
        return
    before, _, rest = STATUS.read_text().partition(BEGIN)
    _, found_end, after = rest.partition(END)
    assert found_end, f"{STATUS} has no place for the table: {BEGIN} ... {END}"
    STATUS.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def found():
    """The experiments that there are, ``<dataset>/<variant>``: of a dataset those of its expected.toml first."""
    names = [path.parent.relative_to(EXPERIMENTS).as_posix() for path in sorted(EXPERIMENTS.glob("*/*/mknet.py"))]

    def place(name):
        dataset, variant = name.split("/")
        order = [*expected_of(EXPERIMENTS / dataset)]
        return dataset, order.index(variant) if variant in order else len(order), variant

    return sorted(names, key=place)


def expected_of(directory):
    """What ``expected.toml`` in a dataset's directory says, by variant; nothing, if there is none."""
    file = directory / "expected.toml"
    return tomllib.loads(file.read_text()) if file.is_file() else {}


def in_order(names):
    """``names``, each behind the experiment whose network makes what it takes."""
    places = {EXPERIMENTS / name: name for name in found()}
    ordered = {}
    for name in names:
        first = experiment(EXPERIMENTS / name).first_network
        before = places.get((EXPERIMENTS / name / first.directory).resolve()) if first else None
        ordered |= {one: None for one in (before, name) if one}
    return [*ordered]


def experiment(setup):
    """What its train.py declares.

    :raises UserError: if it declares nothing
    """
    declared = runpy.run_path(str(setup / "train.py")).get("EXPERIMENT")
    if declared is None:
        raise UserError(f"{setup / 'train.py'}: declares no EXPERIMENT. Correct it, or leave it out with --only")
    return declared


def row(work, name):
    """The cells of one directory."""
    setup = work / "02_train" / name
    cells = name.split("/")
    for step in (builds, loads, trains, predicts):
        try:
            cells.append(step(work, setup))
        except Failed as error:
            cells.append(f"fails: {error}")
    return cells


def builds(work, setup):
    """mknet.py writes both files: the parameters, and the shapes of their outputs; those of expected.toml, if it says any."""
    run(setup, "mknet.py")
    files = {name: networks.read(setup / f"{name}.json") for name in ("train_net", "config")}
    count = parameters(files["train_net"].network)
    shapes = {name: [list(file.input_shape), list(file.network.output_shape(file.input_shape))] for name, file in files.items()}
    expected = expected_of(setup.parent).get(setup.name, {})
    for key, value in ({"parameters": count} | shapes).items():
        if value != expected.get(key, value):
            raise Failed(f"{key} {value}, expected.toml says {expected[key]}")
    outputs = ["x".join(map(str, output)) for _, output in shapes.values()]
    return f"{count / 1e6:.1f} M parameters, {outputs[0]} and {outputs[1]}"


def loads(work, setup):
    """A checkpoint with the published names and the directory's layers, of reduced width; a dash where none was published."""
    scope = expected_of(setup.parent).get(setup.name, {}).get("checkpoint")
    if scope is None:
        return "-"
    if scope == "haiku":
        return loads_pickle(work, setup)
    frameworks.import_keras()
    import tensorflow as tf

    network = narrow(networks.read(setup / "config.json").network)
    model = network.build(network.smallest_input_shape)
    rng, values = np.random.default_rng(0), {}
    for layer in (layer for layer in model.layers if layer.weights):
        for kind, weight in zip(("kernel", "bias"), layer.weights, strict=True):
            values[f"{scope}/{layer.name}/{kind}"] = rng.random(tuple(weight.shape), np.float32)
    prefix = work / "published" / setup.parent.name / setup.name / "train_net_checkpoint_400000"
    prefix.parent.mkdir(parents=True)
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=list(values), shape_and_slices=[""] * len(values),
                      tensors=list(values.values()))
    found = checkpoints.require_checkpoint(prefix.parent)
    if found.network != network:
        raise Failed(f"taken for {found.network}")
    checkpoints.load_checkpoint(model, found.path)
    given = [weight for layer in model.layers for weight in layer.get_weights()]
    if not all(np.array_equal(a, b) for a, b in zip(given, values.values(), strict=True)):
        raise Failed("weights differ")
    return f"{len(values)} arrays"


def loads_pickle(work, setup):
    """The same as a pickle, with the names that Haiku gives."""
    network = narrow(networks.read(setup / "config.json").network)
    rng, names, trees = np.random.default_rng(0), haiku.haiku_names(network), []
    for _ in range(3):  # weights, and Adam's moments
        trees.append({name: {} for name in names.values()})
        for key, shape in weight_shapes(network).items():
            layer, what = key.split("/")
            trees[-1][names[layer]][haiku.PARAMETERS[what]] = rng.random(shape, np.float32)
    path = work / "model_checkpoint_320000"
    path.write_bytes(pickle.dumps((trees[0], ((320000, *trees[1:]), ()), None)))
    found = haiku.read_haiku(path, network)
    first = trees[0][names["unet_layer_0_left_0"]]
    if not np.array_equal(found.weights["unet_layer_0_left_0/kernel"], first["w"]):
        raise Failed("weights differ")
    return f"{len(found.weights)} arrays of a pickle"


def trains(work, setup):
    """train.py leaves a checkpoint: the steps, and the shape of their input."""
    malis = ["--malis-from", "1"] if experiment(setup).malis_from is not None else []
    last = 2 if malis else 1
    run(setup, "train.py", str(last), "--data", synthetic(work, setup), *WIDTH, "--seed", "0", "--num-workers", "0", *malis)
    file = networks.read(setup / "train_net.json")
    if checkpoints.require_checkpoint(setup).iteration != last:
        raise Failed("no checkpoint")
    return f"{'one of each loss' if malis else 'one'}, {'x'.join(map(str, file.input_shape))}"


def predicts(work, setup):
    """predict_scan.py writes something to each head: channels and shapes."""
    volume, out = synthetic(work, setup), setup / "out.zarr"
    fly = ["--lsds-on-the-fly"] if experiment(setup).first_network else []
    raw = ["--raw-dataset", load_dataset(setup).raw]
    run(setup, "predict_scan.py", "--raw-file", volume, *raw, "--pad", "--output", str(out), *fly)
    written = [arrays.open_volume(str(out), f"volumes/{head.name}") for head in narrow_network(setup).heads]
    if not all(volume.read().any() for volume in written):
        raise Failed("nothing but zeros")
    return ", ".join(f"{volume.channels}x{'x'.join(map(str, volume.shape))}" for volume in written)


def synthetic(work, setup):
    """A small synthetic volume as the experiment's dataset has them: its voxel size, and its names of raw, labels and masks."""
    dataset = load_dataset(setup)
    path = work / f"{dataset.name}.zarr"
    if not path.exists():
        made = synthesize(VOLUME, dataset.voxel_size)
        volumes = {dataset.raw: made.raw, dataset.labels: made.labels, dataset.labels_mask: np.ones(VOLUME, np.uint8)}
        if dataset.unlabeled_mask:
            volumes[dataset.unlabeled_mask] = (made.labels > 0).astype(np.uint8)
        for name, values in volumes.items():
            volume = arrays.create_volume(str(path), name, VOLUME, dataset.voxel_size, (0, 0, 0), values.dtype)
            volume.write(volume.box, values)
    return str(path)


def narrow(network):
    """``network`` with the feature maps that :data:`WIDTH` asks of train.py."""
    out = network.num_fmaps_out and 3
    return dataclasses.replace(network, num_fmaps=2, fmap_inc_factor=1, num_fmaps_out=out)


def narrow_network(setup):
    """The network that was trained, which need not be that of train_net.json."""
    return checkpoints.require_checkpoint(setup).network


def run(directory, script, *arguments):
    """A script as a user runs it; its last line of error, if it ends with one, is that of :class:`Failed`."""
    done = run_script(directory, script, *arguments, capture_output=True)
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1])


def table(rows):
    """The rows as Markdown, below what tells the date and the machine."""
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    heads = ["dataset", "variant", "builds: full width, outputs", "loads the published layout", "trains a step", "predicts"]
    lines = [f"Run of {date} on {machine()}, without a GPU; 2 feature maps at each level, but for the first column.", ""]
    lines += [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines)


def machine():
    """Its processor, as Linux names it."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", info)
    return f"{os.cpu_count()} cores of {name[1].strip() if name else 'an unnamed processor'}"


if __name__ == "__main__":
    main()
