"""Try every experiment on this machine, and write the status table of README.md.

    python status.py --print --only zebrafinch/mtlsd fib25/lsd

Each is tried as a user would, in a copy of 02_train, with feature maps reduced to 2 at each level: mknet.py at full width; a
checkpoint of TensorFlow 1 (of xpress, a pickle) with the published names is written and loaded; train.py takes a step (two,
for MALIS, one of each loss) at the published shapes; predict_scan.py predicts a synthetic volume. A directory that fails at one
of them gets the last line of its error in the table, which goes to the screen with ``--print``, else into README.md.
"""

import dataclasses
import datetime
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments import arrays, checkpoints, cli, frameworks, networks
from lsd_experiments.checkpoints.comparing import weight_shapes
from lsd_experiments.datasets import DATASETS
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.xpress import haiku
from lsd_experiments.networks.layers import parameters

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- status: written by 02_train/status.py -->", "<!-- end of status -->"
# In this order, since auto-context needs a trained network of LSDs.
SCOPES = {  # of the published checkpoints; mtlsd_malis was published as a directory only
    "baseline": "setup01", "mtlsd": "setup02", "lsd": "setup03", "aclsd": "setup04", "acrlsd": "setup05",
    "long_range": "setup23", "malis": "setup07", "mtlsd_malis": "setup08",
}  # fmt: skip
AUTO_CONTEXT = ("aclsd", "acrlsd")
XPRESS = "xpress/baseline"
EVERYTHING = [*(f"{dataset}/{variant}" for dataset in ("zebrafinch", "fib25", "hemi") for variant in SCOPES), XPRESS]
WIDTH = ("--num-fmaps", "2", "--fmap-inc-factor", "1")
VOLUME = (96, 128, 128)  # voxels


class Failed(Exception):
    """A step of a directory did not end well."""


def main():
    """The command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--only", nargs="+", metavar="DATASET/VARIANT", default=EVERYTHING, help="these alone; with --print")
    parser.add_argument("--print", action="store_true", help="print the table, and leave README.md as it is")
    cli.run(command, parser)


def command(options):
    """Try the experiments of ``--only``, and print the table or put it into README.md."""
    for name in options.only:
        if name not in EVERYTHING:
            raise UserError(f"--only {name}: no such experiment{nearest(name, EVERYTHING)}")
    if options.only != EVERYTHING and not options.print:
        raise UserError("--only: README.md has all experiments. Pass --print, too")
    needed = {f"{name.split('/')[0]}/lsd" for name in options.only if name.endswith(AUTO_CONTEXT)}
    names = [name for name in EVERYTHING if name in needed or name in options.only]
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        shutil.copytree(ROOT / "02_train", work / "02_train",
                        ignore=lambda _, names: [name for name in names if "." in name and not name.endswith(".py")])
        rows = [row(work, name) for name in tqdm(names, unit="directory")]
    text = table(rows)
    if options.print:
        print(text)
        return
    before, _, rest = README.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    assert found, f"{README} has no place for the table: {BEGIN} ... {END}"
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


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
    """mknet.py writes both files: the parameters, and the shapes of their outputs."""
    run(setup, "mknet.py")
    files = [networks.read(setup / name) for name in ("train_net.json", "config.json")]
    shapes = ["x".join(map(str, file.network.output_shape(file.input_shape))) for file in files]
    return f"{parameters(files[0].network) / 1e6:.1f} M parameters, {shapes[0]} and {shapes[1]}"


def loads(work, setup):
    """A checkpoint with the published names and the directory's layers, of reduced width."""
    if setup.parent.name == "xpress":
        return loads_pickle(work, setup)
    frameworks.import_keras()
    import tensorflow as tf

    network = narrow(networks.read(setup / "config.json").network)
    model = network.build(network.smallest_input_shape)
    rng, values = np.random.default_rng(0), {}
    for layer in (layer for layer in model.layers if layer.weights):
        for kind, weight in zip(("kernel", "bias"), layer.weights, strict=True):
            values[f"{SCOPES[setup.name]}/{layer.name}/{kind}"] = rng.random(tuple(weight.shape), np.float32)
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
    volume = synthetic(work, setup.parent.name)
    malis = ["--malis-from", "1"] if setup.name.endswith("malis") else []
    last = 2 if malis else 1
    run(setup, "train.py", str(last), "--data", volume, *WIDTH, "--seed", "0", "--num-workers", "0", *malis)
    file = networks.read(setup / "train_net.json")
    if checkpoints.require_checkpoint(setup).iteration != last:
        raise Failed("no checkpoint")
    return f"{'one of each loss' if malis else 'one'}, {'x'.join(map(str, file.input_shape))}"


def predicts(work, setup):
    """predict_scan.py writes something to each head: channels and shapes."""
    volume, out = synthetic(work, setup.parent.name), setup / "out.zarr"
    fly = ["--lsds-on-the-fly"] if setup.name in AUTO_CONTEXT else []
    raw = ["--raw-dataset", DATASETS[setup.parent.name].raw]
    run(setup, "predict_scan.py", "--raw-file", volume, *raw, "--pad", "--output", str(out), *fly)
    written = [arrays.open_volume(str(out), f"volumes/{head.name}") for head in narrow_network(setup).heads]
    if not all(volume.read().any() for volume in written):
        raise Failed("nothing but zeros")
    return ", ".join(f"{volume.channels}x{'x'.join(map(str, volume.shape))}" for volume in written)


def synthetic(work, dataset):
    """A small synthetic volume with the dataset's voxel size."""
    path = work / f"{dataset}.zarr"
    if dataset == "xpress" and not path.exists():
        run(ROOT / "01_data", "make_synthetic.py", str(path), "--kind", "axons", "--shape", *map(str, VOLUME))
        run(ROOT / "01_data", "add_labels_mask.py", str(path))
        run(ROOT / "01_data", "add_unlabeled_mask.py", str(path))
    elif not path.exists():
        size = map(str, DATASETS[dataset].voxel_size)
        run(ROOT / "01_data", "make_synthetic.py", str(path), "--shape", *map(str, VOLUME), "--voxel-size", *size)
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
    done = subprocess.run([sys.executable, str(directory / script), *arguments], cwd=directory, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
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
