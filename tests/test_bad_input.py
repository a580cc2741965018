"""What users get wrong: each gives one clear line and exit status 2, before TensorFlow is imported, with nothing written.

The commands are real, in a directory of good and bad files. Those of train.py are in tests/training.
"""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments import checkpoints, networks
from lsd_experiments.arrays import create_volume
from lsd_experiments.networks import Head, Network
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.provenance import now, provenance
from tests.scripts import run_script

ROOT = Path(__file__).parents[1]
HEAVY = ("tensorflow", "keras", "gunpowder", "daisy")  # a mistake is found before these are imported
VOXEL_SIZE, OFFSET, SHAPE = (50, 9, 4.6), (100, -27, 13.8), (12, 20, 30)  # nm, nm, voxels
NETWORK = Network(num_fmaps=1, fmap_inc_factor=1, downsample_factors=((1, 3, 2),), heads=(Head("affs", channels=3),))
INPUT_SHAPE = (15, 28, 26)  # -> (3, 8, 10)

PREDICT = "02_train/fib25/tiny/predict.py"
SCAN = "02_train/fib25/tiny/predict_scan.py"
RAW = "--raw-file raw.zarr"

# name: command (predict scripts in the world below, others in the repository), and what the line says
PREDICTION = {
    "raw: mistyped path": (f"{SCAN} --raw-file rwa.zarr", r"world/rwa\.zarr: no such file or directory\. Name a zarr"),
    "raw: mistyped path, blockwise": (f"{PREDICT} --raw-file rwa.zarr", r"rwa\.zarr: no such file or directory"),
    "raw: of no known format": (f"{SCAN} --raw-file config.toml", r"config\.toml: of no known format\. Name a zarr"),
    "raw: dataset not there": (f"{SCAN} {RAW} --raw-dataset volumes/rw",
                               r"no dataset 'volumes/rw'; did you mean 'volumes/raw'\? It holds .*volumes/labels"),
    "raw: channels": (f"{SCAN} {RAW} --raw-dataset volumes/affs", r"3 channels; raw is \[z, y, x\].*convert\.py .* --channel 0"),
    "raw: a range that is none": (f"{PREDICT} {RAW} --raw-range 9 1", "--raw-range: 9 1 is neither 'type', nor two numbers"),
    "raw: of one value": (f"{SCAN} {RAW} --raw-dataset volumes/flat", "volumes/flat: all .* is 3: .*--raw-range"),
    "raw: NaN": (f"{SCAN} {RAW} --pad --raw-dataset volumes/nan", r"volumes/nan: the value at \(3, 4, 5\) is nan; 1 of 7200"),
    "raw: NaN, blockwise": (f"{PREDICT} {RAW} --raw-dataset volumes/nan", r"nan: .* at \(3, 4, 5\) is nan; 1 of 7200"),
    "raw: voxel size": (f"{SCAN} {RAW} --raw-dataset volumes/coarse",
                        r"voxels of \(50, 18, 9\.2\) nm, not \(50, 9, 4\.6\) nm, that train_net_checkpoint_7"),
    "raw: too small": (f"{SCAN} --raw-file raw.zarr --raw-dataset volumes/small", r"\(12, 19, 30\) voxels are too few .* --pad"),
    "crop: misspelt key": (f"{SCAN} --raw-file crop.json", r"crop\.json: unknown key 'ofset'; did you mean 'offset'\?"),
    "crop: not JSON": (f"{SCAN} --raw-file broken.json", r"broken\.json: not valid JSON"),
    "input shape: not legal": (f"{PREDICT} {RAW} --input-shape 15 29 26",
                               r"is not legal .* y = 29 \(nearest: 28 or 31\).* nearest legal shape is \(15, 28, 26\)"),
    "input shape: too small": (f"{SCAN} {RAW} --input-shape 2 28 26", r"z = 2 \(nearest: 13\).*\(13, 28, 26\)"),
    "ROI: outside": (f"{SCAN} {RAW} --roi-offset 100 -27 13.8 --roi-shape 650 90 46",
                     r"to \(750, 63, 59\.8\) nm reaches outside of .*covers \(100, -27, 13\.8\) to \(700,"),
    "ROI: off the grid": (f"{PREDICT} {RAW} --roi-offset 120 -27 13.8 --roi-shape 50 90 46", "is not on the voxel grid"),
    "ROI: empty": (f"{PREDICT} {RAW} --roi-offset 100 -27 13.8 --roi-shape 0 90 46", "holds no voxel"),
    "ROI: no shape": (f"{SCAN} {RAW} --roi-offset 100 -27 13.8", "the ROI has no shape. Give both"),
    "checkpoint: none": (f"{SCAN.replace('tiny', 'untrained')} {RAW}",
                         r"02_train/fib25/untrained: no checkpoint \(found: none\)\. Train with train\.py first"),
    "checkpoint: another iteration": (f"{PREDICT} {RAW} --checkpoint 8", r"no checkpoint of iteration 8 \(found: 7\)"),
    "checkpoint: another architecture": (f"{SCAN.replace('tiny', 'other')} {RAW}",
                                         "train_net_checkpoint_7.*holds another architecture: .*downsample_factors is"),
    "checkpoint: damaged": (f"{SCAN.replace('tiny', 'damaged')} {RAW}", r"_7\.weights\.h5: is not a checkpoint .*damaged"),
    "network: mknet.py did not run": (f"{PREDICT.replace('tiny', 'new')} {RAW}",
                                      r"new/config\.json: no such file\. Run mknet\.py in .*02_train/fib25/new first"),
    "network: damaged": (f"{SCAN.replace('tiny', 'spoilt')} {RAW}",
                         r"spoilt/config\.json: is not a network file .*Run mknet\.py"),
    "output: made with other parameters": (f"{SCAN} {RAW} --pad --output made.zarr --input-shape 14 28 26",
                                           r"made\.zarr:volumes/affs exists and was made with input_shape = \[15, 28, 26\], "
                                           r"now it is \[14, 28, 26\]\. .*--overwrite"),
    "output: says nothing of itself": (f"{PREDICT} {RAW} --output raw.zarr", r"raw\.zarr:volumes/affs exists, and does not say"),
    "output: below a file": (f"{SCAN} --pad {RAW} --output config.toml/out.zarr",
                             r"config\.toml.*: not a directory\. Name a place"),
    "output: a file": (f"{PREDICT} {RAW} --output config.toml", r"config\.toml: exists, and is no zarr group"),
    "output: cannot be written": (f"{SCAN} --pad {RAW} --output /proc/out.zarr",
                                  r"/proc\S*: no such file or directory\. Correct the path"),
}

MADE = "config.toml#out_file='made.zarr'"  # what run() makes of it: see there
STAGE_NAMES = ("predict", "extract_fragments", "agglomerate", "find_segments", "evaluate", "extract_segmentation", "run")
CONFIGS = {
    **{f"{stage}: no such config": (f"03_predict/{stage}.py cnfig.toml", r"^error: cnfig\.toml: no such file\. Name a TOML")
       for stage in STAGE_NAMES},
    **{f"{stage}: misspelt key": (f"03_predict/{stage}.py config.toml#fragments.block_sise=1",
                                  r"unknown key 'fragments\.block_sise'; did you mean 'block_size'\?") for stage in STAGE_NAMES},
    "config: not TOML": ("03_predict/run.py broken.json", "not valid JSON"),
    "config: TOML with an error": ("03_predict/run.py broken.toml", r"broken\.toml: not valid TOML: .*line 2"),
    "config: a directory": ("03_predict/run.py raw.zarr", r"raw\.zarr: no such file"),
    "config: misspelt section": ("03_predict/run.py config.toml#fragmets.context=1",
                                 "unknown key 'fragmets'; did you mean 'fragments'"),
    "config: misspelt optional section": ("03_predict/run.py config.toml#evaluate.label_file=1",
                                          r"'evaluate\.label_file'; did you mean 'labels_file'"),
    "config: unknown key": ("03_predict/run.py config.toml#workers.num_wrkers=2", "num_wrkers'; did you mean 'num_workers'"),
    "config: wrong type": ("03_predict/run.py config.toml#workers.num_workers=0",
                           "'workers.num_workers': .*greater than or equal to 1, found 0"),
    "config: merge function": ("03_predict/agglomerate.py config.toml#agglomerate.merge_function='hist_quant_5'",
                               r"agglomerate\.merge_function.*hist_quant_5"),
    "predict: no setup": ("03_predict/predict.py config.toml#setup=", "has no 'setup', which predict needs"),
    "predict: setup mistyped": ("03_predict/predict.py config.toml#setup='02_train/fib25/tny'",
                                "02_train/fib25/tny: no such directory. Name one"),
    "predict: raw mistyped": ("03_predict/predict.py config.toml#raw_file='rwa.zarr'", r"world/rwa\.zarr: no such file"),
    "predict: ROI outside": ("03_predict/predict.py config.toml#predict.roi_offset=[0,0,0]#predict.roi_shape=[50,9,46]",
                             "reaches outside of"),
    "predict: ROI without shape": ("03_predict/predict.py config.toml#predict.roi_offset=[100,-27,13.8]",
                                   r"\[predict\] needs both roi_offset and roi_shape"),
    "predict: input shape": ("03_predict/predict.py config.toml#predict.input_shape=[15,29,26]",
                             r"The nearest legal shape is \(15, 28, 26\)"),
    "predict: cannot be written": ("03_predict/run.py config.toml#out_file='/proc/out.zarr'",
                                   r"/proc/out\.zarr.*Correct the path"),
    "fragments: affinities mistyped": ("03_predict/extract_fragments.py config.toml#fragments.affs_dataset='volumes/afs'",
                                       "did you mean 'volumes/affs'"),
    "fragments: no affinities": ("03_predict/extract_fragments.py config.toml#fragments.affs_dataset='volumes/raw'",
                                 "has no channels; affinities are"),
    "fragments: block size": ("03_predict/extract_fragments.py config.toml#fragments.block_size=[120,90,92]",
                              r"\[fragments\] block_size = \[120\.0, .*\] nm is no multiple .* Take \[100\.0, 90\.0, 92\.0\]"),
    "fragments: what the network made": (f"03_predict/extract_fragments.py {MADE}#fragments.fragments_dataset='volumes/affs' "
                                         "--overwrite", "was made by predict, not by extract_fragments"),
    "workers: memory": ("03_predict/run.py config.toml#workers.memory='8gigs'", r"'workers\.memory': memory is a number and one"),
    "workers: no scheduler": ("03_predict/predict.py config.toml#out_file='new.zarr'#workers.kind='lsf'#workers.num_workers=2",
                              "bsub"),
    "workers: image": ("03_predict/predict.py config.toml#out_file='new.zarr'#workers.image='lsd.sif' --dry-run", r"lsd\.sif"),
    "sizes: not a number": ("03_predict/extract_fragments.py config.toml#fragments.context=[nan,0,0]", r"'fragments\.context"),
    "graph: a server that is not there": ("03_predict/agglomerate.py config.toml#db='postgresql://u:s3cret@127.0.0.1:1/x'",
                                          r"^(?!.*s3cret).*no dataset 'volumes/fragments'"),
    "graph: a password as a port": ("03_predict/agglomerate.py config.toml#db='postgresql://u:s3cret/x'",
                                    r"^(?!.*s3cret).*the URL of the database is malformed"),
    "graph: a password in a mistyped URL": ("03_predict/agglomerate.py config.toml#db='postgresl:/u:s3cret@127.0.0.1/x'",
                                            r"^(?!.*s3cret).*neither a file nor a URL"),
    "workers: all addresses": ("03_predict/run.py config.toml#workers.host='0x0'", "'workers.host': .*this one stands for all"),
    "fragments: cannot be written": ("03_predict/extract_fragments.py config.toml#fragments.fragments_file='/proc/f.zarr'",
                                     r"/proc/f\.zarr.*Correct the path"),
    "fragments: below a file": ("03_predict/extract_fragments.py config.toml#fragments.fragments_file='broken.json/f.zarr'",
                                "broken.json.*: not a directory"),
    "graph: cannot be written": ("03_predict/extract_fragments.py config.toml#db='/proc/graph.db'", r"/proc/graph\.db.*Name"),
    "agglomerate: no fragments": ("03_predict/agglomerate.py config.toml", "no dataset 'volumes/fragments'"),
    "find_segments: no graph": ("03_predict/find_segments.py config.toml", "no dataset 'volumes/fragments'"),
    "find_segments: no edges": (f"03_predict/find_segments.py {MADE}#agglomerate.merge_function='mean'",
                                "no finished edges for mean .*hist_quant_50.* Run agglomerate first"),
    "evaluate: nothing to compare with": ("03_predict/evaluate.py config.toml#evaluate=",
                                          r"has no \[evaluate\] with 'labels_file'"),
    "evaluate: no look-up tables": (f"03_predict/evaluate.py {MADE}#agglomerate.merge_function='mean'",
                                    "no finished look-up tables for mean. Run find_segments"),
    "evaluate: labels mistyped": (f"03_predict/evaluate.py {MADE}#evaluate.labels_dataset='volumes/label'",
                                  r"no dataset 'volumes/label'; did you mean"),
    "evaluate: labels of floats": (f"03_predict/evaluate.py {MADE}#evaluate.labels_dataset='volumes/float'",
                                   r"volumes/float is of type float32; labels are integers"),
    "evaluate: labels elsewhere": (f"03_predict/evaluate.py {MADE}#evaluate.labels_dataset='volumes/far'",
                                   r"volumes/far .*do not overlap"),
    "evaluate: ROI outside": (f"03_predict/evaluate.py {MADE}#evaluate.roi_offset=[0,0,0]"
                              "#evaluate.roi_shape=[50,9,46]", "reaches outside of"),
    "extract: no such threshold": (f"03_predict/extract_segmentation.py {MADE}#extract.threshold=0.33",
                                   r"no such look-up table\. Run find_segments first; there are thresholds 0, 0\.25"),
    "extract: best of none": (f"03_predict/extract_segmentation.py {MADE}#extract.threshold='best'",
                              "no such file, so that the best threshold is unknown. Run evaluate"),
}

LABELS = "raw.zarr volumes/labels"
OTHERS = {
    "evaluate_volumes: float labels": (f"03_predict/evaluate_volumes.py {LABELS} raw.zarr volumes/float", "labels are integers"),
    "evaluate_volumes: no overlap": (f"03_predict/evaluate_volumes.py raw.zarr volumes/far {LABELS}", "do not overlap"),
    "evaluate_volumes: voxel sizes": (f"03_predict/evaluate_volumes.py raw.zarr volumes/coarse {LABELS}", "not .* nm, that of"),
    "evaluate_volumes: not there": (f"03_predict/evaluate_volumes.py {LABELS} raw.zarr volumes/labls",
                                    "did you mean 'volumes/labels'"),
    "evaluate_volumes: ROI": (f"03_predict/evaluate_volumes.py {LABELS} {LABELS} --roi-offset 0 0 0", "--roi-shape"),
    "evaluate_volumes: cannot be written": (f"03_predict/evaluate_volumes.py {LABELS} {LABELS} --out /proc/scores",
                                            r"/proc/scores: cannot be written \(/proc: .*\)\. Name a place"),
    "evaluate_volumes: below a file": (f"03_predict/evaluate_volumes.py {LABELS} {LABELS} --out config.toml/new/scores",
                                       r"config\.toml: not a directory\)"),
    "picture: not there": ("03_predict/picture.py out.png --raw raw.zarr volumes/rw", "did you mean 'volumes/raw'"),
    "picture: no overlap": ("03_predict/picture.py out.png --raw raw.zarr volumes/raw --labels raw.zarr volumes/far", "overlap"),
    "picture: cannot be written": ("03_predict/picture.py config.toml/out.png --raw raw.zarr volumes/raw",
                                   "config.toml: file exists"),
    "view: nothing named": ("03_predict/view.py", "nothing to show. Name a config"),
    "view: mistyped": ("03_predict/view.py -f rwa.zarr", r"rwa\.zarr: no such file or directory"),
    "view: misspelt key": ("03_predict/view.py config.toml#workers.num_wrkers=2", "did you mean 'num_workers'"),
    "view_data: mistyped": ("01_data/view_data.py -f rwa.zarr", r"rwa\.zarr: no such file or directory"),
    "view_data: no volumes": ("01_data/view_data.py -d 02_train", "02_train: holds no zarr, N5 or HDF5"),
    "view_data: port": ("01_data/view_data.py -f raw.zarr --port 99999", "--port 99999: there is no such port"),
    "view_batch: not there": ("02_train/fib25/tiny/view_batch.py", r"snapshots: holds no batch_<n>\.hdf\. Run train\.py first"),
    "make_synthetic: not zarr": ("01_data/make_synthetic.py out.h5", r"out\.h5: synthetic volumes are zarr"),
    "make_synthetic: exists": ("01_data/make_synthetic.py raw.zarr", r"raw\.zarr: exists and is not a synthetic volume"),
    "make_synthetic: shape": ("01_data/make_synthetic.py out.zarr --shape 0 40 40", "shape"),
    "make_synthetic: voxel size": ("01_data/make_synthetic.py out.zarr --shape 4 40 40 --voxel-size 20 -9 9", "voxel"),
    "make_synthetic: below a file": ("01_data/make_synthetic.py config.toml/out.zarr --shape 4 40 40",
                                     "config.toml: file exists"),
    "make_synthetic: cannot be written": ("01_data/make_synthetic.py /proc/out.zarr --shape 4 40 40",
                                          "/proc/out.*Correct the path"),
}

TABLE = {**PREDICTION, **CONFIGS, **OTHERS}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The directory that the commands run in."""
    directory = tmp_path_factory.mktemp("bad") / "world"
    directory.mkdir()
    _write_volumes(directory)
    _write_setups(directory / "02_train" / "fib25")
    _write_files(directory)
    _segment(directory)
    return directory


def _write_volumes(directory):
    rng = np.random.default_rng(0)
    labels = np.broadcast_to(1 + np.arange(SHAPE[2], dtype=np.uint64) // 10, SHAPE)
    nan = rng.random(SHAPE, np.float32)
    nan[3, 4, 5] = np.nan
    raw = rng.integers(0, 256, SHAPE, np.uint8)
    float_raw = np.linspace(0, 255, raw.size, dtype=np.float32).reshape(SHAPE)
    affs = (255 * np.stack([labels == np.roll(labels, 1, axis) for axis in range(3)])).astype(np.uint8)
    for name, values, voxel_size, offset in (
        ("raw", raw, VOXEL_SIZE, OFFSET), ("nan", nan, VOXEL_SIZE, OFFSET), ("float", float_raw, VOXEL_SIZE, OFFSET),
        ("int32", raw.astype(np.int32), VOXEL_SIZE, OFFSET), ("labels", labels, VOXEL_SIZE, OFFSET),
        ("flat", np.full(SHAPE, 3, np.int16), VOXEL_SIZE, OFFSET),
        ("far", labels, VOXEL_SIZE, (5100, -27, 13.8)), ("coarse", labels.astype(np.uint8), (50, 18, 9.2), OFFSET),
        ("small", raw[:, 1:], VOXEL_SIZE, OFFSET), ("affs", affs, VOXEL_SIZE, OFFSET),
    ):
        _put(directory / "raw.zarr", name, values, voxel_size, offset)
    _put(directory / "made.zarr", "affs", affs, VOXEL_SIZE, OFFSET)


def _put(container, name, values, voxel_size, offset, **attrs):
    volume = create_volume(container, f"volumes/{name}", values.shape[-3:], voxel_size, offset, values.dtype,
                           channels=3 if values.ndim == 4 else None, attrs=attrs)
    volume.write(volume.box, np.ascontiguousarray(values))


def _write_setups(directory):
    model = NETWORK.build(INPUT_SHAPE)
    other = Network(1, 1, ((3, 1, 1),), NETWORK.heads)
    for name in ("tiny", "untrained", "other", "damaged", "new", "spoilt"):
        (directory / name).mkdir(parents=True)
        for script in ("predict.py", "predict_scan.py", "view_batch.py"):
            shutil.copy(ROOT / "02_train" / "fib25" / "mtlsd" / script, directory / name)
        if name != "new":
            shape = other.smallest_input_shape if name == "other" else INPUT_SHAPE
            networks.write(other if name == "other" else NETWORK, "config", shape, directory / name)
        if name not in ("new", "untrained"):
            checkpoints.save_checkpoint(model, directory / name, NETWORK, 7, {"voxel_size": VOXEL_SIZE, "seed": 0})
    damaged = checkpoints.checkpoint_path(directory / "damaged", 7)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    (directory / "spoilt" / "config.json").write_text('{"input_shape": [15, 28, 26]}')


def _write_files(directory):
    (directory / "crop.json").write_text(json.dumps({"container": "raw.zarr", "ofset": [0, 0, 0], "size": [50, 9, 46]}))
    (directory / "broken.json").write_text("{")
    (directory / "broken.toml").write_text('out_file = "out.zarr"\n[fragments\n')
    (directory / "config.toml").write_text(_config())


def _config(changes=()):
    """The configuration of ``world``; a change is ``key=value``, ``section.key=value``, or ``key=`` to leave one out."""
    tables = {
        "": {"out_file": "'raw.zarr'", "setup": "'02_train/fib25/tiny'", "raw_file": "'raw.zarr'"},
        "predict": {},
        "fragments": {"fragments_in_xy": "false", "block_size": "[600, 180, 138]", "context": "[50, 9, 4.6]"},
        "agglomerate": {"context": "[50, 9, 4.6]", "merge_function": "'hist_quant_50'"},
        "find_segments": {"thresholds_step": "0.25"},
        "extract": {},
        "evaluate": {"labels_file": "'raw.zarr'", "labels_dataset": "'volumes/labels'"},
    }
    for change in changes:
        key, value = change.split("=", 1)
        section, _, name = key.rpartition(".")
        if value:
            tables.setdefault(section, {})[name] = value
        else:
            tables.pop(key, None) or tables[section].pop(name)
    return "".join((f"[{name}]\n" if name else "") + "".join(f"{key} = {value}\n" for key, value in table.items())
                   for name, table in tables.items())


def _segment(directory):
    """Fragments, region graph and look-up tables in made.zarr; its affinities say how they were predicted."""
    attrs = directory / "made.zarr" / "volumes" / "affs" / ".zattrs"
    made_by = provenance("predict", {"variant": "fib25/tiny", "input_shape": INPUT_SHAPE}, {})
    attrs.write_text(json.dumps({**json.loads(attrs.read_text()), "provenance": made_by, "finished": now()}))
    path = directory / "made.toml"
    path.write_text(_config(["out_file='made.zarr'"]))
    for stage in ("extract_fragments", "agglomerate", "find_segments"):
        run_stage(stage, load_pipeline(path))


def run(world, command, *more):
    """Run ``command`` in ``world``; ``config.toml#change#change`` stands for a configuration with these changes."""
    script, *arguments = shlex.split(command, posix=False)
    for number, argument in enumerate(arguments):
        _, *changes = argument.split("#")
        if changes:
            arguments[number] = "changed.toml"
            (world / "changed.toml").write_text(_config(changes))
    script = world / script if (world / script).exists() else ROOT / script
    before = tree(world)
    done = run_script(script, *arguments, *more, cwd=world, without=HEAVY)
    assert tree(world) == before, "something was written"
    return done, done.stderr.splitlines()


def tree(directory):
    """Everything in a directory; files with when and to what length they were written."""
    return {path: path.is_file() and (path.stat().st_mtime_ns, path.stat().st_size) for path in directory.rglob("*")}


@pytest.mark.parametrize(("command", "message"), TABLE.values(), ids=TABLE)
def test_one_line(world, command, message):
    done, lines = run(world, command)
    assert done.returncode == 2, "\n".join(lines)
    assert done.stdout == ""
    assert len(lines) == 1, "\n".join(lines)
    assert lines[0].startswith("error: ")
    assert re.search(message, lines[0]), lines[0]


def test_the_same_commands_work_where_nothing_is_wrong(world):
    """Negative control: of the files, and of how this test looks for what was written."""
    done, _ = run(world, f"03_predict/evaluate_volumes.py {LABELS} {LABELS}")
    assert done.returncode == 0
    assert "VOI" in done.stdout
    with pytest.raises(AssertionError, match="something was written"):
        run(world, f"03_predict/extract_segmentation.py {MADE}#extract.threshold=0.25")
    assert (world / "made.zarr" / "volumes" / "segmentation_25" / ".zattrs").is_file()


@pytest.mark.parametrize("command", [f"{SCAN} --raw-file rwa.zarr", "03_predict/predict.py config.toml#raw_file='rwa.zarr'",
                                     "03_predict/view.py -f rwa.zarr", "01_data/view_data.py -f rwa.zarr"])
def test_debug_gives_the_traceback(world, command):
    done, lines = run(world, command, "--debug")
    assert done.returncode == 2
    assert "Traceback (most recent call last):" in lines
    assert re.match(r"error: .*rwa\.zarr: no such file", lines[-1])
