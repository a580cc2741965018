"""The files of a plan: all of them are made in a directory of their own, and then moved to their places.

    02_train/<name>/dataset.toml, volume.json     what the data are, and where raw and labels lie
    02_train/<name>/kept.json                     the part of the labels that is kept back
    02_train/<name>/plan.png, plan.txt            the picture, and what plan.py said
    02_train/<name>/{baseline,mtlsd,long_range}/  the experiments
    03_predict/<name>.toml                        the configuration that predicts with mtlsd
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.datasets.dataset import FILE
from lsd_experiments.datasets.new_files import made
from lsd_experiments.errors import UserError
from lsd_experiments.families.lsd.planning import texts
from lsd_experiments.families.lsd.planning.design import Plan
from lsd_experiments.installation import ROOT
from lsd_experiments.scenario import run_script
from lsd_experiments.toml_text import as_toml, whole
from lsd_experiments.writing import put_text

VOLUME = "volume.json"
KEPT = "kept.json"
REASONS = "plan.txt"
DOORS = ("predict.py", "predict_scan.py", "view_batch.py")  # scripts that are alike in all experiments
LIKE = ROOT / "02_train" / "fib25" / "mtlsd"  # whose they are
LABELS = "volumes/labels/neuron_ids"
MASK = "volumes/labels/labels_mask"


@dataclass(frozen=True)
class Places:
    """Where a plan's files go: ``directory``, 02_train/<name>, and ``config``, 03_predict/<name>.toml."""

    directory: Path
    config: Path

    @classmethod
    def of(cls, name: str, experiments: Path) -> "Places":
        """Of 02_train; or of a directory that ``name`` says by beginning with / or . and that holds it all then.

        :raises UserError: if it is neither
        """
        path = Path(name).expanduser()
        if path.is_absolute() or name.startswith("."):
            directory = path.resolve()
            return cls(directory, directory / "predict.toml")
        if len(path.parts) != 1 or ".." in path.parts:
            raise UserError(f"{name}: a dataset is called by one word, a directory of 02_train, or by a path that begins "
                            "with / or . Name it so")
        return cls(experiments / name, experiments.parent / "03_predict" / f"{name}.toml")

    def check(self, overwrite: bool) -> None:
        """:raises UserError: if one of them is there, and not to be written over, or not a plan."""
        for path in (self.directory, self.config):
            if (path.exists() or path.is_symlink()) and not overwrite:
                raise UserError(f"{path}: is there already. Name another dataset, or pass --overwrite to write its files anew")
        if self.directory.exists() and not (self.directory / REASONS).is_file():
            raise UserError(f"{self.directory}: was not written by plan.py, and is not written over. Name another dataset")


@contextmanager
def beside(directory: Path) -> Iterator[Path]:
    """A new directory beside ``directory``, on its disk; what was made for it is gone in the end."""
    with made(directory.parent), tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as private:
        place = Path(private) / directory.name  # which others may read where they may read new directories
        place.mkdir()
        yield place


def volume_text(raw: Mapping[str, Any], labels: Mapping[str, Any], mask: Mapping[str, Any] | None) -> str:
    """The file that stands for raw, labels and, if there is one, their mask, each a crop."""
    datasets = {"volumes/raw": raw, LABELS: labels, **({MASK: mask} if mask else {})}
    return json.dumps({"datasets": datasets}, indent=2, ensure_ascii=False) + "\n"


def write(plan: Plan, place: Path, places: Places) -> None:
    """Write all but the volume and the picture into ``place``, which becomes ``places.directory``; mknet.py has run.

    :raises UserError: if the scripts cannot be had
    """
    if not LIKE.is_dir():
        raise UserError(f"{ROOT}: no checkout of the repository, whose scripts experiments have. Clone it, and run plan.py there")
    put_text(place / FILE, _dataset(plan, (place / VOLUME).read_text()))
    offset, size = ([whole(value) for value in values] for values in plan.kept)
    kept = {"container": VOLUME, "dataset": LABELS, "offset": offset, "size": size}
    put_text(place / KEPT, json.dumps(kept, indent=2) + "\n")
    put_text(place / REASONS, shown(plan) + "\n")
    for variant in texts.VARIANTS:
        (place / variant).mkdir()
        put_text(place / variant / "mknet.py", texts.mknet(plan, variant))
        put_text(place / variant / "train.py", texts.train(plan, variant))
        for door in DOORS:
            shutil.copyfile(LIKE / door, place / variant / door)
        done = run_script(place / variant, "mknet.py", capture_output=True)
        assert done.returncode == 0, f"mknet.py of {variant} fails: {done.stderr}"
    put_text(place / places.config.name, _config(plan, places))


def put(place: Path, places: Places) -> list[Path]:
    """Move what is in ``place`` to its places; files that are there are replaced, others stay. What is there then, in order."""
    config, is_new = place / places.config.name, not places.config.exists()
    written = sorted(path.relative_to(place) for path in place.rglob("*") if path.is_file() and path != config)
    if places.config.parent == places.directory:
        _move(place, places.directory, [*written, config.relative_to(place)])
    else:
        places.config.parent.mkdir(parents=True, exist_ok=True)
        put_text(places.config, config.read_text())
        config.unlink()
        try:
            _move(place, places.directory, written)
        except BaseException:
            if is_new:
                places.config.unlink()
            raise
    shown = [places.directory / name for name in written if name.name not in ("train_net.json", "config.json")]
    return [*shown, places.config]


def _move(place: Path, directory: Path, names: Sequence[Path]) -> None:
    """What is called ``names`` from ``place`` to ``directory``: at once, if there is none yet."""
    if not directory.exists():
        place.replace(directory)
        return
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).replace(directory / name)


def shown(plan: Plan) -> str:
    """Each number and why, in columns."""
    widths = [max(len(row[column]) for row in plan.why) for column in (0, 1)]
    return "\n".join(f"{what:<{widths[0]}}  {value:<{widths[1]}}  {why}" for what, value, why in plan.why)


def _dataset(plan: Plan, volume: str) -> str:
    mask = ["labels_mask = " + as_toml(MASK)] if MASK in json.loads(volume)["datasets"] else []
    span = [] if plan.raw_range is None else [
        f"raw_range = {as_toml(plan.raw_range)}  # become 0 and 1: the 0.1 and 99.9 percentiles of a faint volume"]
    lines = [
        f"# {plan.name}: voxels of {' x '.join(f'{size:g}' for size in plan.voxel_size)} nm. Keys: docs/experiments.md.", "#",
        "# Written by 02_train/plan.py; plan.txt says why each number of the experiments is what it is.", "",
        f"name = {as_toml(plan.name)}",
        f"voxel_size = {as_toml([whole(size) for size in plan.voxel_size])}  # z, y, x in nm",
        'directory = "."', f"volumes = {as_toml([VOLUME])}  # says where raw and labels lie",
        f"predicted = {as_toml(VOLUME)}", *span, *mask, "",
        "[[validation]]  # kept back: training does not see its labels", f"volume = {as_toml(VOLUME)}",
        f"offset = {as_toml([whole(value) for value in plan.kept[0]])}  # z, y, x in nm, in the world",
        f"size = {as_toml([whole(value) for value in plan.kept[1]])}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _config(plan: Plan, places: Places) -> str:
    def seen(path: Path) -> str:
        return os.path.relpath(path, places.config.parent)

    return texts.configuration(plan, places.config.name, seen(places.directory / "mtlsd"), seen(places.directory / VOLUME),
                               f"{plan.name}.zarr")
