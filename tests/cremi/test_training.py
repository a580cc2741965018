"""Clefts: files of CREMI as input, what nobody knows, balance, volumes dealt to processes, and the way from a stack to scores."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.alignment import command as align_command
from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.cremi import evaluate_command
from lsd_experiments.families.cremi.files import CremiFile, in_memory, write_cremi
from lsd_experiments.families.cremi.ids import BACKGROUND, UNKNOWN
from lsd_experiments.families.cremi.synthetic import write_clefts
from lsd_experiments.families.pytc import command
from lsd_experiments.families.pytc.configuration import load
from lsd_experiments.families.pytc.inference.images import open_image
from lsd_experiments.families.pytc.rejection import Rejection
from lsd_experiments.families.pytc.samples.configured import training_sampler
from lsd_experiments.families.pytc.samples.sources import Chunks, open_sources
from lsd_experiments.families.pytc.samples.tiles import chunk_box
from tests.published import PUBLISHED, needs_published

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from lsd_experiments.families.pytc import checkpoints  # noqa: E402
from lsd_experiments.families.pytc.criterion import Criterion  # noqa: E402
from lsd_experiments.families.pytc.losses import LOSSES  # noqa: E402
from lsd_experiments.families.pytc.networks.building import build  # noqa: E402
from lsd_experiments.families.pytc.networks.layers import count  # noqa: E402
from lsd_experiments.families.pytc.samples.loader import load_batches  # noqa: E402
from lsd_experiments.families.pytc.training.training import train  # noqa: E402

FOLDER = Path(__file__).parents[2] / "02_train/cremi"
FILES = ["--config-base", str(FOLDER / "configs/CREMI-Base.yaml"), "--config-file",
         str(FOLDER / "configs/CREMI-Foreground-UNet.yaml")]
RESOLUTION, OFFSET = (40.0, 4.0, 4.0), (80.0, 40.0, 20.0)
TINY = {"SYSTEM.NUM_CPUS": 0, "DATASET.PAD_SIZE": [2, 20, 20], "MODEL.INPUT_SIZE": [5, 17, 17], "MODEL.OUTPUT_SIZE": [5, 17, 17],
        "MODEL.FILTERS": [4, 5], "MODEL.ISOTROPY": [False, True], "MODEL.NORM_MODE": "bn", "SOLVER.ITERATION_TOTAL": 2,
        "SOLVER.ITERATION_SAVE": 2, "SOLVER.WARMUP_ITERS": 2, "DATASET.REJECT_SAMPLING.SIZE_THRES": 10,
        "DATASET.DISTRIBUTED": False}
UNETV0 = {"MODEL.ARCHITECTURE": "unetv0", "MODEL.FILTERS": [16, 16, 16, 16, 16], "MODEL.INPUT_SIZE": [4, 32, 32],
          "MODEL.OUTPUT_SIZE": [4, 32, 32], "MODEL.LOSS_OPTION": [["WeightedBCE"]], "INFERENCE.OUTPUT_ACT": ["none"]}


def sample_of(path, shape=(8, 50, 60), unknown=True, seed=0):
    """A file of CREMI with a cleft of id 0, one of id 7, and (``unknown``) a corner that nobody looked at."""
    raw = np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)
    clefts = np.full(shape, BACKGROUND, np.uint64)
    clefts[1:5, 10:14, 5:45], clefts[3:7, 30:33, 10:50] = 0, 7
    if unknown:
        clefts[:, :25, 40:] = UNKNOWN
    write_cremi(path, CremiFile(raw=in_memory(raw, RESOLUTION, OFFSET), clefts=in_memory(clefts, RESOLUTION, OFFSET)))
    return raw, clefts


@pytest.fixture
def files(tmp_path):
    """Two, of different sizes."""
    sample_of(tmp_path / "a.hdf")
    sample_of(tmp_path / "b.hdf", (6, 64, 50), unknown=False, seed=1)
    return tmp_path


def pairs_of(place, out="out", names="a.hdf@b.hdf", **others):
    values = {"DATASET.INPUT_PATH": place, "DATASET.IMAGE_NAME": names, "DATASET.LABEL_NAME": names, **TINY,
              "DATASET.OUTPUT_PATH": place / out, **others}
    return [text for key, value in values.items() for text in (key, str(value))]


def config_of(place, *more, **others):
    return load(FILES[3], FILES[1], pairs_of(place, *more, **others))


@pytest.mark.parametrize("more", [{}, {"memory": 0}, {"chunks": Chunks((2, 1, 1), overlap=False)}], ids=str)
def test_ids_of_cremi_mean_what_they_do_there(files, more):
    """0 is a cleft, 2^64 - 1 none, and 2^64 - 2 not known; beyond the volume's borders as in a mirror."""
    _, clefts = sample_of(files / "c.hdf")
    whole = open_sources([files / "c.hdf"], [files / "c.hdf"], pad=(0, 2, 2), **more)[0]
    source, first = whole.at(0, 0), 0
    if whole.chunks:
        first = chunk_box(clefts.shape, whole.chunks.numbers, whole.chunks.at(0, 0), whole.chunks.overlap).begin[0]
    asked = np.pad(clefts, ((0, 0), (2, 2), (2, 2)), mode="reflect")[first:first + 4]
    labels, known = (read((0, 0, 0), (4, 54, 64)) for read in (source.read_labels, source.read_known))
    assert (known == (asked != UNKNOWN)).all()
    assert ((labels > 0) == (asked < UNKNOWN)).all()
    assert (labels[asked == 7] == 7).all()
    assert (source.read_mask((0, 0, 0), (4, 54, 64)) == known).all()


def test_other_labels_stay_as_they_were(tmp_path):
    """The control: where no id of CREMI's is, 0 is no cleft and everything is known."""
    raw = np.zeros((4, 20, 20), np.uint8)
    ids = np.zeros(raw.shape, np.uint64)
    ids[1, 3:9] = 2**64 - 3
    write_cremi(tmp_path / "a.hdf", CremiFile(raw=in_memory(raw, RESOLUTION), clefts=in_memory(ids, RESOLUTION)))
    source = open_sources([tmp_path / "a.hdf"], [tmp_path / "a.hdf"])[0]
    assert (source.read_labels((0, 0, 0), raw.shape) == ids).all()
    assert source.read_known((0, 0, 0), raw.shape) is source.read_mask((0, 0, 0), raw.shape) is None


def test_a_path_names_a_dataset_in_a_file(files):
    neurons = in_memory(np.full((8, 50, 60), 5, np.uint64), RESOLUTION)
    raw = open_volume(files / "a.hdf", "volumes/raw")
    write_cremi(files / "n.hdf", CremiFile(raw=raw, neuron_ids=neurons, clefts=neurons))
    source = open_sources([files / "n.hdf/volumes/raw"], [files / "n.hdf/volumes/labels/neuron_ids"])[0]
    assert (source.image.dataset, source.labels.dataset) == ("volumes/raw", "volumes/labels/neuron_ids")
    assert open_image(files / "n.hdf").dataset == "volumes/raw", "of an inference; clefts come first by name"
    assert open_image(files / "n.hdf/volumes/labels/clefts").dataset == "volumes/labels/clefts"
    with pytest.raises(UserError, match="volumes/labels/nothing"):
        open_sources([files / "n.hdf"], [files / "n.hdf/volumes/labels/nothing"])


@pytest.mark.parametrize(("image", "labels", "said"), [
    ("a.hdf/volumes/labels/clefts", "a.hdf", "clefts: is no image"), ("a.hdf", "a.hdf/volumes/raw", "raw: is no label"),
    ("raw.hdf", "raw.hdf", "It holds volumes/raw")])  # fmt: skip
def test_raw_is_no_label_and_labels_no_image(files, image, labels, said):
    """Nor has a file of the challenge's test volumes labels, which is raw alone."""
    write_cremi(files / "raw.hdf", CremiFile(raw=open_volume(files / "a.hdf", "volumes/raw")))
    with pytest.raises(UserError, match=said):
        open_sources([files / image], [files / labels])


def smooth(dtype, grays, seed=0):
    """What an image looks like, more or less noisy."""
    noise = np.random.default_rng(seed).normal(128, grays, (6, 40, 50))
    return np.clip(noise, 0, 255).astype(dtype)


def boxed(dtype):
    ids = np.zeros((6, 40, 50), dtype)
    ids[:, 5:30, 4:44], ids[2:5, 10:20, 10:40] = 3, 200
    return ids


def little_of(values, size=8):
    """``values``, in much that is black."""
    return np.where(np.arange(values.shape[2]) < values.shape[2] - size + 3, 0, values).astype(values.dtype)


def small(dtype, sizes):
    """Objects of so many voxels along each axis."""
    at = np.indices((6, 40, 50)) // np.reshape(sizes, (3, 1, 1, 1))
    return (at[0] * 997 + at[1] * 61 + at[2] + 1).astype(dtype)


@pytest.mark.parametrize(("image", "labels", "said"), [
    (boxed(np.uint64), smooth(np.uint8, 30), "labels.h5:main: most of its voxels differ"),
    (boxed(np.uint8), smooth(np.uint16, 30), "labels.h5:main: most of its voxels differ"),
    (boxed(np.uint64), boxed(np.uint64), "image.h5:main: is of type uint64, with objects"),
    (smooth(np.uint8, 30), boxed(np.uint64), None), (smooth(np.int64, 30), boxed(np.uint8), None),
    (boxed(np.uint8), boxed(np.uint8), None), (np.zeros((6, 40, 50), np.uint64), np.ones((6, 40, 50), np.uint64), None),
    (smooth(np.uint8, 30), smooth(np.uint8, 0.1), None),
    (little_of(smooth(np.int32, 30)), boxed(np.uint8), None), ((boxed(np.int64) > 0) * 255, boxed(np.uint8), None),
    (smooth(np.uint8, 30), small(np.uint32, (2, 2, 1)), None), (smooth(np.uint8, 30), small(np.uint32, (1, 2, 2)), None),
    (boxed(np.uint64), small(np.uint64, (1, 1, 1)), "labels.h5:main: most"),
])  # fmt: skip
def test_swapped_by_their_values(tmp_path, image, labels, said):
    """Both under the name ``main``, as in the tutorial's files; what is not certain is taken."""
    import h5py

    for name, values in (("image", image), ("labels", labels)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["main"] = values
    if said is None:
        open_sources([tmp_path / "image.h5"], [tmp_path / "labels.h5"])
        return
    with pytest.raises(UserError, match=said) as refused:
        open_sources([tmp_path / "image.h5"], [tmp_path / "labels.h5"])
    assert "(-dn and -ln)" in str(refused.value)


def test_meanings_of_ids_do_not_hide_an_alignment(tmp_path, caplog):
    """Labels that have 2^64 - 1 are read through another array, which lies on the same stack."""
    from lsd_experiments.arrays import add_volume

    raw, clefts = sample_of(tmp_path / "a.hdf")
    for name, mark in (("b.hdf", "1, x.zarr of a.hdf:raw"), ("c.hdf", "2, y.zarr of a.hdf:raw")):
        for dataset, values in (("volumes/raw", raw), ("volumes/labels/clefts", clefts)):
            with add_volume(tmp_path / name, dataset, raw.shape, RESOLUTION, OFFSET, values.dtype, chunks=raw.shape,
                            attrs={"alignment": mark}) as volume:
                volume.write(volume.box, values)
    open_sources([tmp_path / "b.hdf"], [tmp_path / "b.hdf"])
    assert "aligned stack" not in caplog.text
    open_sources([tmp_path / "b.hdf"], [tmp_path / "a.hdf"])
    assert "does not say so" in caplog.text
    with pytest.raises(UserError, match="different alignments"):
        open_sources([tmp_path / "b.hdf"], [tmp_path / "c.hdf"])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_what_nobody_knows_counts_in_no_loss(name):
    """Neither its value, nor what a network learns from it."""
    torch.manual_seed(0)
    classes = name == "WeightedCE"
    act = "none" if classes or "Logits" in name or "Focal" in name else "sigmoid"
    criterion = Criterion(["9-2" if classes else "0"], [[name]], [[1.0]], [[act]])
    known = torch.ones(1, 1, 2, 4, 4)
    known[..., 2:] = 0
    prediction = torch.randn(1, 2 if classes else 1, 2, 4, 4, requires_grad=True)
    target = torch.randint(2, (1, 2, 4, 4)) if classes else (torch.rand(1, 1, 2, 4, 4) > 0.5).float()
    for weights in ([[None]], [[torch.rand(1, 1, 2, 4, 4)]]):
        gradients = torch.autograd.grad(criterion(prediction, [target], weights, known)[0], prediction)[0]
        assert not gradients[..., 2:].any()
        assert gradients[..., :2].any()
        assert torch.autograd.grad(criterion(prediction, [target], weights)[0], prediction)[0][..., 2:].any(), "the control"


@pytest.mark.parametrize("others", [{}, UNETV0], ids=["unet_plus_3d", "unetv0"])
def test_volumes_of_different_sizes_are_trained_on(files, others):
    config = config_of(files, **others)
    assert train(config) == 0
    assert checkpoints.read(files / "out/checkpoint_00002.pth.tar").iteration == 2
    sampler = training_sampler(config.tree)
    samples = [sampler.sample(iteration, 0) for iteration in range(8)]
    assert {sample.place[0] for sample in samples} == {0, 1}
    assert {sample.known is not None for sample in samples if sample.place[0] == 0} == {True}
    batches = [batch.known for batch in load_batches(sampler, range(8), 2)]
    assert {None if known is None else tuple(known.shape) for known in batches} <= {None, (2, 1, *config.MODEL.INPUT_SIZE)}
    assert any(known is not None and known.min() == 0 for known in batches)


def test_classes_are_balanced_by_sampling_and_by_weights(files):
    """As many voxels of clefts as are asked for, or with P below 1 mostly; and clefts weigh as all the rest does."""
    most = training_sampler(config_of(files, **{"DATASET.REJECT_SAMPLING.SIZE_THRES": 60, "AUGMENTOR.SMOOTH": False}).tree)
    sizes = {}
    for probability in (0.0, 0.5, 1.0):
        sampler = replace(most, rejection=Rejection(60, probability=probability))
        samples = [sampler.sample(iteration, 0) for iteration in range(30)]
        sizes[probability] = np.mean([np.count_nonzero(sample.labels) < 60 for sample in samples])
    assert sizes[1.0] == 0 < sizes[0.5] < sizes[0.0]
    target, weights = samples[0].targets[0], samples[0].weights[0][0]
    assert weights[target > 0].sum() == pytest.approx(weights[target == 0].sum(), rel=1e-3)
    with pytest.raises(UserError, match="SIZE_THRES"):
        replace(most, rejection=Rejection(10**6, probability=1.0), trials=20).sample(0, 0)


def test_volumes_are_dealt_to_processes(files, monkeypatch):
    """main.py as torchrun starts it, twice, over gloo: each opens its own volume alone, which here it alone can see."""
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}

    def arguments(names):
        return [*FILES, "--distributed", *pairs_of(files, names=names, **{"DATASET.DISTRIBUTED": True})]

    child = subprocess.Popen([sys.executable, str(FOLDER / "main.py"), *arguments("not_there.hdf@b.hdf")],
                             env=os.environ | environment | {"RANK": "1"})
    for name, value in (environment | {"RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    assert run(command.main, "main.py", arguments("a.hdf@not_there.hdf"), monkeypatch) == 0
    assert child.wait() == 0
    assert checkpoints.read(files / "out/checkpoint_00002.pth.tar").iteration == 2
    with pytest.raises(UserError, match="not_there"):
        training_sampler(config_of(files, names="a.hdf@not_there.hdf").tree)


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(main, name, arguments, monkeypatch):
    """The status of a script in this process."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main("")
    return ended.value.code


def test_from_a_crooked_stack_to_its_scores(tmp_path, monkeypatch, capsys):
    """Align, train on what was aligned, predict, bring back, and score against the stack's own truth."""
    write_clefts(tmp_path / "s.zarr", (8, 140, 150), offset=OFFSET, seed=1)
    stack, aligned, back = tmp_path / "s.hdf", tmp_path / "aligned.zarr", tmp_path / "back.hdf"
    assert run(align_command.main, "align.py", [stack, aligned], monkeypatch) == 0
    assert open_volume(aligned, "volumes/raw").shape != open_volume(stack, "volumes/raw").shape
    others = {"MODEL.INPUT_SIZE": [5, 33, 33], "MODEL.OUTPUT_SIZE": [5, 33, 33], "INFERENCE.STRIDE": [4, 33, 33],
              "INFERENCE.INPUT_SIZE": [5, 33, 33], "INFERENCE.OUTPUT_SIZE": [5, 33, 33], "INFERENCE.AUG_NUM": 0,
              "INFERENCE.IMAGE_NAME": "aligned.zarr", "INFERENCE.OUTPUT_PATH": tmp_path / "out", "INFERENCE.PAD_SIZE": [0, 0, 0],
              "SOLVER.ITERATION_TOTAL": 20, "SOLVER.ITERATION_SAVE": 20}
    pairs = pairs_of(tmp_path, names="aligned.zarr", **others)
    assert run(command.main, "main.py", [*FILES, *pairs], monkeypatch) == 0
    inference = ["--inference", "--checkpoint", tmp_path / "out/checkpoint_00020.pth.tar"]
    assert run(command.main, "main.py", [*FILES, *inference, *pairs], monkeypatch) == 0
    predicted = open_volume(tmp_path / "out/result_0.h5", "vol0")
    raw = open_volume(aligned, "volumes/raw")
    assert (predicted.shape, predicted.offset) == (raw.shape, raw.offset)
    capsys.readouterr()
    scores = [tmp_path / "out/result_0.h5", stack, "--task", "clefts", "--prediction-dataset", "vol0", "--curve"]
    assert run(evaluate_command.main, "evaluate.py", scores, monkeypatch) == 2, "it was not brought back"
    assert "align.py --undo" in capsys.readouterr().err
    undo = ["--undo", tmp_path / "out/result_0.h5", aligned, back, "--dataset", "vol0", "--out-dataset", "volumes/clefts"]
    assert run(align_command.main, "align.py", undo, monkeypatch) == 0
    scores = [back, stack, "--task", "clefts", "--prediction-dataset", "volumes/clefts", "--curve", "--out", tmp_path / "scores"]
    capsys.readouterr()
    assert run(evaluate_command.main, "evaluate.py", scores, monkeypatch) == 0
    assert "best F1" in capsys.readouterr().out
    assert open_volume(back, "volumes/clefts").shape == open_volume(stack, "volumes/raw").shape


@needs_published
def test_the_configurations_that_the_published_program_has():
    """The networks are of the published size; files that no fixture has merged say what the published ones do."""
    facts = json.loads((PUBLISHED / "pytc_models/full_width_e29beadc.json").read_text())
    names = {"cremi": "UNet", "cremi_dt": "DT-UNet", "cremi_regu": "DT-Regu-UNet", "cremi_fpn": "FPN-ResNet",
             "cremi_repvgg": "FPN-RepVGG"}
    folder = FOLDER / "configs"
    assert {path.stem for path in folder.iterdir()} == {"CREMI-Base", *(f"CREMI-Foreground-{name}" for name in names.values())}
    for name, variant in names.items():
        config = load(folder / f"CREMI-Foreground-{variant}.yaml", folder / "CREMI-Base.yaml")
        with torch.device("meta"):
            assert count(build(config)) == facts[name]["parameters"], name
    model = load(folder / "CREMI-Foreground-DT-Regu-UNet.yaml", folder / "CREMI-Base.yaml").MODEL
    assert (model.LOSS_WEIGHT, model.REGU_OPT, model.REGU_WEIGHT) == ([[1.0, 1.0], [4.0]], ["FgDT"], [0.5])
