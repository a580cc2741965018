"""The files of a new experiment: copied from another one, and written for its dataset."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lsd_experiments.datasets.dataset import FILE, Dataset
from lsd_experiments.errors import UserError
from lsd_experiments.scenario import run_script
from lsd_experiments.toml_text import as_toml
from lsd_experiments.writing import put_text

SECTIONS = 1.5  # voxels that are so much longer in z than in x are of sections, which are segmented one by one
SEGMENT = "segment.toml"
BLOCKS = {True: ((100, 256, 256), (12, 27, 27)), False: ((125, 125, 125), (31, 31, 31))}  # voxels, as published: block, context
MERGE = {True: "hist_quant_50", False: "hist_quant_75"}  # as published, of zebra finch's sections and of FIB-25


def write_experiment(directory: Path, like: Path, dataset: Dataset, other: Dataset, is_new: bool) -> list[Path]:
    """Write the experiment ``directory`` after ``like``, on ``dataset`` instead of ``other``; what was written.

    :param is_new: whether the dataset's file is written, too, into the directory around it
    :raises UserError: if ``like`` is no experiment, or its mknet.py fails; nothing is there then
    """
    scripts = sorted(like.glob("*.py"))
    if not (like / "mknet.py").is_file():
        raise UserError(f"{like}: is no experiment: it has no mknet.py. Name another one by --like")
    with made(directory.parent), tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as place:
        new = Path(place) / directory.name
        new.mkdir()
        for script in scripts:
            (new / script.name).write_text(_described(script.read_text(), f"{other.name}/{like.name}", dataset, other))
        (new / SEGMENT).write_text(segment_toml(dataset))
        done = run_script(new, "mknet.py", capture_output=True)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise UserError(f"{like / 'mknet.py'}: fails: {said[-1] if said else done.returncode}. Correct it")
        if is_new:
            put_text(directory.parent / FILE, dataset_toml(dataset))
        new.replace(directory)
    return [*([directory.parent / FILE] if is_new else []), *(directory / path.name for path in scripts), directory / SEGMENT]


@contextmanager
def made(directory: Path) -> Iterator[None]:
    """While open, ``directory`` is there; on an error those that were made for this are removed."""
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for place in missing:
            with suppress(OSError):  # not there, or somebody uses it meanwhile
                place.rmdir()
        raise


@contextmanager
def kept_if_done() -> Iterator[list[Path]]:
    """A list of files, which are removed again on an error."""
    files: list[Path] = []
    try:
        yield files
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise


def _described(text: str, like: str, dataset: Dataset, other: Dataset) -> str:
    """A script's ``text``, whose docstring tells of the new dataset."""
    if dataset.name == other.name:
        return text
    size = ", ".join(f"{value:g}" for value in dataset.voxel_size)
    text = re.sub(r"; \S+ voxels are \([^)]*\) nm\.", f"; {dataset.name} voxels are ({size}) nm.", text, count=1)
    return re.sub(r"(?ms)^Numbers: .*?\. Axes are", f"Numbers: those of {like}. Axes are", text, count=1)


def dataset_toml(dataset: Dataset) -> str:
    """``dataset`` as its file."""
    size = " x ".join(f"{value:g}" for value in dataset.voxel_size)
    lines = [f"# {dataset.name}: voxels of {size} nm. Keys: docs/experiments.md.", "#", "# Written by 02_train/new.py.", "",
             f"name = {as_toml(dataset.name)}", f"voxel_size = {as_toml(dataset.voxel_size)}  # z, y, x in nm",
             f"directory = {as_toml(str(dataset.directory))}", f"volumes = {as_toml(dataset.volumes)}"]
    for key in ("raw", "labels", "labels_mask", "unlabeled_mask", "predicted"):
        if (value := getattr(dataset, key)) is not None:
            lines.append(f"{key} = {as_toml(value)}")
    return "\n".join(lines) + "\n"


def segment_toml(dataset: Dataset) -> str:
    """A configuration of 03_predict that segments the dataset's first volume."""
    z, _, x = dataset.voxel_size
    sections = z > SECTIONS * x
    block, context = ([n * size for n, size in zip(voxels, dataset.voxel_size, strict=True)] for voxels in BLOCKS[sections])
    volume = dataset.directory / (dataset.predicted or dataset.volumes[0])
    return f"""\
# Predict, segment and evaluate one volume of {dataset.name}: python 03_predict/run.py {SEGMENT}. All keys: docs/segmentation.md.
# Sizes are (z, y, x) in nm; paths are relative to this file.

setup = "."
raw_file = {as_toml(str(volume))}  # the network trains on it: other data say how good it is
raw_dataset = {as_toml(dataset.raw)}
out_file = "prediction.zarr"

[fragments]
fragments_in_xy = {as_toml(sections)}{"  # sections are far from each other" if sections else ""}
block_size = {as_toml(block)}  # {" x ".join(map(str, BLOCKS[sections][0]))} voxels
context = {as_toml(context)}  # {" x ".join(map(str, BLOCKS[sections][1]))} voxels

[agglomerate]
merge_function = {as_toml(MERGE[sections])}  # the paper's for {"serial sections" if sections else "cubic voxels"}
context = {as_toml(context)}

[find_segments]
thresholds_minmax = [0, 1]
thresholds_step = 0.02

[evaluate]
labels_file = {as_toml(str(volume))}
labels_dataset = {as_toml(dataset.labels)}

[extract]
threshold = "best"
"""
