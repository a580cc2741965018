"""Where 01_data puts training volumes, and all other commands look for them."""

from pathlib import Path

from lsd_experiments.datasets import DATASETS


def training_directory(setup: str | Path, dataset: str) -> Path:
    """Where the training volumes of ``dataset`` are fetched to, in the repository of ``setup``, 02_train/<dataset>/<variant>."""
    fetched_to = DATASETS[dataset].fetched_to if dataset in DATASETS else None
    return Path(setup).resolve().parents[2] / "01_data" / (fetched_to or f"funke/{dataset}/training")


def fetched_volumes(data_dir: Path) -> list[str]:
    """The training volumes of all datasets of the paper that were fetched into ``data_dir``, 01_data."""
    return sorted(str(path) for path in data_dir.glob("funke/*/training/*.zarr"))
