"""What each command, and each key of a configuration, finds at a place: what they compare is what it makes of it."""

import json
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from functools import cache, partial
from io import StringIO
from pathlib import Path

import numpy as np

from lsd_experiments.alignment.command import prediction_of, stack_of
from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.families.cremi.evaluate_command import volumes_of
from lsd_experiments.families.cremi.sides_command import inputs as sides_inputs
from lsd_experiments.families.cremi.submission_command import labels_of
from lsd_experiments.families.pytc.segment_command import inputs as segment_inputs
from lsd_experiments.fragments.blockwise import _open_mask
from lsd_experiments.masks.command import make_task
from lsd_experiments.networks import Head, Network
from lsd_experiments.networks.network import Input
from lsd_experiments.picture.volumes import KINDS
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.pipeline.evaluating import _truths
from lsd_experiments.pipeline.plans import _affs
from lsd_experiments.prediction.autocontext import open_lsds
from lsd_experiments.prediction.command import _settings
from lsd_experiments.prediction.loading import TrainedNetwork
from lsd_experiments.prediction.plan import _open_raw
from lsd_experiments.prediction.settings import PredictionSettings
from lsd_experiments.skeletons import Skeletons, write_skeletons
from lsd_experiments.viewing import view_batch, view_data, view_results
from tests.places.listing import ROOT, command_of
from tests.places.scene import SIZE, Scene
from tests.places.tables import SEGMENT

AUTO_CONTEXT = Network(num_fmaps=2, fmap_inc_factor=2, downsample_factors=((1, 2, 2),), heads=(Head("affs", 3),),
                       inputs=(Input(), Input("lsds", 10)))


@dataclass(frozen=True)
class Case:
    """What reads ``names``: options as ``(script, option)``, or keys.

    ``find``: gets a scene, a container and a dataset (None: left out), and gives what is to be equal. ``is_optional``: the
    dataset may be left out, where the container has one only. ``has_dataset``: it may be named.
    """

    names: tuple
    kind: str
    find: Callable
    is_optional: bool = False
    has_dataset: bool = True
    voxel_size: tuple = (40, 10, 8)


def found(volume):
    """What ``volume`` is; a worker that opens it again finds the same."""
    again = open_volume(*volume.place)
    assert (again.offset, again.shape) == (volume.offset, volume.shape)
    values = volume.read()
    np.testing.assert_array_equal(again.read(), values)
    return np.round(volume.offset, 6).tolist(), values.tolist()


@cache
def script(name):
    return command_of(ROOT / name)


def options(name, *arguments):
    return script(name)[1].parse_args([str(argument) for argument in arguments])


def run(name, *arguments):
    return script(name)[0](options(name, *arguments))


def convert(scene, container, dataset):
    run("01_data/convert.py", container, dataset, scene.directory / "converted.zarr", "x", "--overwrite")
    return found(open_volume(scene.directory / "converted.zarr", "x"))


def create_masks(scene, container, dataset):
    named = [] if dataset is None else ["--labels-dataset", dataset]
    asked = options("01_data/create_masks.py", container, *named, "--output", scene.directory / "mask.zarr")
    return found(make_task(str(container), asked, ROOT / "02_train").labels)


def look_at_data(scene, container, dataset, option="--file"):
    named = [] if dataset is None else ["--datasets", dataset]
    views = view_data.collect(options("01_data/view_data.py", option, container, *named), scene.directory)
    return [found(view.volume) for view in views]


def look_at_results(scene, container, dataset):
    name = str(container) if dataset is None else f"{container}:{dataset}"
    parsed = options("03_predict/view.py", "-f", name)
    return [found(view.volume) for view in view_results.result_views(parsed.file)]


def look_at_batch(scene, container, dataset):
    parsed = options("02_train/zebrafinch/baseline/view_batch.py", "-f", container)
    return [found(view.volume) for view in view_batch.batch_views(parsed.file)]


def predict(scene, container, dataset, door="predict.py"):
    named = [] if dataset is None else ["--raw-dataset", dataset]
    parsed = options(f"02_train/fib25/aclsd/{door}", "--raw-file", container, *named)
    return found(_open_raw(_settings(parsed, scene.directory / "fib25/aclsd", shrink=False)))


def _lsds(scene, settings: PredictionSettings):
    trained = TrainedNetwork(scene.directory / "fib25/aclsd", Checkpoint(Path("checkpoint"), 1, AUTO_CONTEXT, {}), (20, 20, 20))
    return found(open_lsds(trained, settings.lsds_setup, settings.lsds_file, settings.lsds_dataset))


def predict_with_lsds(scene, container, dataset, door="predict.py"):
    named = [] if dataset is None else ["--lsds-dataset", dataset]
    parsed = options(f"02_train/fib25/aclsd/{door}", "--lsds-file", container, *named)
    return _lsds(scene, _settings(parsed, scene.directory / "fib25/aclsd", shrink=False))


def evaluate_volumes(scene, container, dataset, is_truth):
    places, printed = [(container, dataset), (scene.whole(), "other")], StringIO()
    first, second = places[::-1] if is_truth else places
    with redirect_stdout(printed):
        run("03_predict/evaluate_volumes.py", *first, *second)
    return printed.getvalue()


def evaluate_lsds(scene, container, dataset, is_truth):
    other = Scene(scene.directory / "other", "lsds" if is_truth else "labels", scene.voxel_size)
    places, printed = [(container, dataset), (other.whole(), other.dataset)], StringIO()
    with redirect_stdout(printed):
        run("03_predict/evaluate_lsds.py", *places[is_truth], *places[not is_truth], "--sigma", 20)
    return printed.getvalue()


def evaluate_skeletons(scene, container, dataset):
    path = scene.directory / "skeletons.csv"
    begin, step = scene.begin, scene.voxel_size
    voxels = np.ndindex(2, 3, SIZE[2] + 2)
    nodes = [tuple(b + s * (n + 0.5) for b, s, n in zip(begin, step, voxel, strict=True)) for voxel in voxels]
    write_skeletons(path, Skeletons.of(nodes, [(n, n + 1) for n in range(len(nodes) - 1)]))
    named = [] if dataset is None else ["--segmentation-dataset", dataset]
    out = scene.directory / "skeleton_scores"
    run("03_predict/evaluate_skeletons.py", container, path, *named, "--out", out)
    return json.loads(out.with_suffix(".json").read_text())["scores"], out.with_suffix(".csv").read_text()


def picture(scene, container, dataset):
    out = scene.directory / "picture.png"
    run("03_predict/picture.py", out, "--segmentation", container, dataset)
    return out.read_bytes()


def submit(scene, container, dataset):
    out = scene.directory / "submission.h5"
    roi = ["--roi-offset", *scene.begin, "--roi-shape", *scene.size]
    assert run("03_predict/submission.py", "make", container, dataset, out, "--overwrite", *roi) == 0
    return found(open_volume(out, "submission"))


def align(scene, container, dataset, undo=False, labels=False):
    named = [] if dataset is None else ["--dataset", dataset, *(["--labels", dataset] if labels else [])]
    places = [container, "aligned.zarr", *(["out.hdf"] if undo else [])]
    parsed = options("02_train/cremi/align.py", *(["--undo"] if undo else []), *named, "--", *places)
    if undo:
        return found(prediction_of(parsed))
    raw, carried = stack_of(parsed)
    return found(carried[0] if labels else raw)


def evaluate_cremi(scene, container, dataset, of):
    places = {"prediction": (scene.whole(), "other"), "truth": (scene.whole(), "other"), of: (container, dataset)}
    named = [word for name, (_, dataset) in places.items() if dataset for word in (f"--{name}-dataset", dataset)]
    parsed = options("02_train/cremi/evaluate.py", *(place for place, _ in places.values()), "--task", "clefts", *named)
    return found(volumes_of(parsed)[of == "truth"])


def partners(scene, container, dataset, number):
    places = [(scene.whole(), "other")] * 3
    places[number] = (container, dataset)
    parsed = options("02_train/cremi/partners.py", *places[0], *places[1], "out.hdf", "--polarity", *places[2])
    return found(sides_inputs(parsed)[number])


def submit_cremi(scene, container, dataset):
    return found(labels_of(options("02_train/cremi/submission.py", "make", container, dataset, "out.hdf")))


def segment_pytc(scene, container, dataset, of):
    truth = open_volume(container, dataset) if of == "labels" else None
    shape, begin = (SIZE, scene.begin) if truth is None else (truth.shape, truth.offset)
    affs = create_volume(scene.directory / "direct.zarr", "vol0", shape, scene.voxel_size, begin, "uint8", channels=3,
                         overwrite=True)
    named = [] if dataset is None else [{"affinities": "--dataset", "labels": "--labels-dataset"}[of], dataset]
    places = [container] if of == "affinities" else [affs.container, "--labels", container]
    return found(segment_inputs(options("02_train/snemi3d/segment.py", *places, "out.zarr", *named))[of == "labels"])


def config(scene, file_key, dataset_key, container, dataset):
    """A configuration that names the place by these keys."""
    path = scene.directory / "config.toml"
    section, _, file = file_key.rpartition(".")
    named = "" if dataset is None else f"{dataset_key.rpartition('.')[2]} = '{dataset}'\n"
    lines = {"": "out_file = 'out.zarr'\nsetup = 'fib25/aclsd'\n", "fragments": "fragments_in_xy = false\n", "predict": "",
             "evaluate": ""}
    lines[section] += f"{file} = '{container}'\n{named}"
    path.write_text("".join(f"[{name}]\n{text}" if name else text for name, text in lines.items() if text))
    return load_pipeline(path)


def raw_of_config(scene, container, dataset):
    loaded = config(scene, "raw_file", "raw_dataset", container, dataset)
    shown = view_results.result_views(view_results.config_names(str(scene.directory / "config.toml")))
    raw = _open_raw(PredictionSettings(loaded.setup, loaded.raw_file, loaded.out_file, loaded.raw_dataset))
    return found(raw), [found(view.volume) for view in shown]


def lsds_of_config(scene, container, dataset):
    loaded = config(scene, "predict.lsds_file", "predict.lsds_dataset", container, dataset)
    return _lsds(scene, PredictionSettings(loaded.setup, None, loaded.out_file, **asdict(loaded.predict)))


def affs_of_config(scene, container, dataset):
    return found(_affs(config(scene, "fragments.affs_file", "fragments.affs_dataset", container, dataset), {}))


def mask_of_config(scene, container, dataset):
    loaded = config(scene, "fragments.mask_file", "fragments.mask_dataset", container, dataset)
    affs = create_volume(scene.directory / "affs.zarr", "affs", SIZE, scene.voxel_size, scene.begin, "uint8", channels=3,
                         overwrite=True)
    return found(_open_mask(affs, loaded.fragments))


def labels_of_config(scene, container, dataset):
    loaded = config(scene, "evaluate.labels_file", "evaluate.labels_dataset", container, dataset)
    shown = view_results.result_views(view_results.config_names(str(scene.directory / "config.toml")))
    return found(_truths(loaded.evaluate, False)[0].volume), [found(view.volume) for view in shown]


def options_of(name, *names):
    return tuple((name, option) for option in names)


ISOTROPIC = (99, 99, 99)  # nm: voxels of the challenge
CASES = {
    "convert": Case(options_of("convert.py", "input", "input_dataset"), "raw", convert),
    "create_masks": Case(options_of("create_masks.py", "containers", "labels_dataset"), "labels", create_masks, True),
    "view_data -f": Case(options_of("view_data.py", "file"), "raw", look_at_data, True),
    "view_data -d": Case(options_of("view_data.py", "data_dir"), "raw", partial(look_at_data, option="-d"), True, False),
    "view -f": Case(options_of("view.py", "file"), "labels", look_at_results, True),
    "view_batch": Case(options_of("view_batch.py", "file"), "raw", look_at_batch, True, False),
    **{f"{door}: {kind}": Case(options_of(door, f"{kind}_file", f"{kind}_dataset"), kind, partial(find, door=door), True)
       for door in ("predict.py", "predict_scan.py") for kind, find in (("raw", predict), ("lsds", predict_with_lsds))},
    "evaluate_volumes: result": Case(options_of("evaluate_volumes.py", "segmentation_file", "segmentation_dataset"), "labels",
                                     partial(evaluate_volumes, is_truth=False)),
    "evaluate_volumes: truth": Case(options_of("evaluate_volumes.py", "labels_file", "labels_dataset"), "labels",
                                    partial(evaluate_volumes, is_truth=True)),
    "evaluate_lsds: prediction": Case(options_of("evaluate_lsds.py", "lsds_file", "lsds_dataset"), "lsds",
                                      partial(evaluate_lsds, is_truth=False)),
    "evaluate_lsds: truth": Case(options_of("evaluate_lsds.py", "labels_file", "labels_dataset"), "labels",
                                 partial(evaluate_lsds, is_truth=True)),
    "evaluate_skeletons": Case(options_of("evaluate_skeletons.py", "segmentation_file", "segmentation_dataset"), "labels",
                               evaluate_skeletons, True),
    "submission": Case(options_of("submission.py", "make segmentation", "make dataset"), "labels", submit, voxel_size=ISOTROPIC),
    "align": Case(options_of("align.py", "places", "dataset"), "raw", align, True),
    "align: labels": Case(options_of("align.py", "labels"), "labels", partial(align, labels=True)),
    "align: prediction": Case((), "labels", partial(align, undo=True), True),
    **{f"cremi/evaluate: {name}": Case(options_of("evaluate.py", name, f"{name}_dataset"), "labels",
                                       partial(evaluate_cremi, of=name), True) for name in ("prediction", "truth")},
    **{f"partners: {name}": Case(options_of("partners.py", name, *more), "labels", partial(partners, number=number))
       for number, (name, *more) in enumerate((("clefts", "clefts_dataset"), ("segments", "segments_dataset"), ("polarity",)))},
    "cremi/submission": Case(options_of("submission.py", "make labels"), "labels", submit_cremi),
    "segment: affinities": Case(options_of("segment.py", "affinities", "dataset"), "affs",
                                partial(segment_pytc, of="affinities"), True),
    "segment: labels": Case(options_of("segment.py", "labels", "labels_dataset"), "labels",
                            partial(segment_pytc, of="labels"), True),
    "picture": Case(options_of("picture.py", *KINDS), "labels", picture),  # which are read alike
    "raw_file": Case(("raw_file", "raw_dataset"), "raw", raw_of_config, True),
    "lsds_file": Case(("predict.lsds_file", "predict.lsds_dataset"), "lsds", lsds_of_config, True),
    "affs_file": Case(("fragments.affs_file", "fragments.affs_dataset"), "affs", affs_of_config, True),
    "mask_file": Case(("fragments.mask_file", "fragments.mask_dataset"), "mask", mask_of_config, True),
    "labels_file": Case(("evaluate.labels_file", "evaluate.labels_dataset"), "labels", labels_of_config, True),
}
# By a test of their own: they take several datasets of a container, each by a name of its own.
SEVERAL = {("train.py", "data"), ("add_unlabeled_mask.py", "input_ds_label"), ("add_unlabeled_mask.py", "input_ds_mask"),
           ("evaluate_lsds.py", "mask_dataset"),
           *(("new.py", name) for name in ("data", "raw", "labels", "labels_mask", "unlabeled_mask")),
           *(("plan.py", name) for name in ("raw", "labels", "mask")),
           *((SEGMENT, name) for name in ("raw", "raw_dataset", "labels", "labels_dataset", "mask"))}
READ = {name for case in CASES.values() for name in case.names} | SEVERAL


def expected(case: Case, scene: Scene):
    """What the part gives, named in full in a plain container."""
    return case.find(scene, scene.copy("copy.zarr"), scene.dataset if case.has_dataset else None)

