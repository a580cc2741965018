"""Where 01_data/fetch_data.py puts training volumes, and all other commands look for them: funke/<dataset>/training/."""

from pathlib import Path


def training_directory(setup: str | Path, dataset: str) -> Path:
    """Where the training volumes of ``dataset`` are fetched to, in the repository of ``setup``, 02_train/<dataset>/<variant>."""
    return Path(setup).resolve().parents[2] / "01_data" / "funke" / dataset / "training"


def fetched_volumes(data_dir: Path) -> list[str]:
    """The training volumes of all datasets that were fetched into ``data_dir``, 01_data."""
    return sorted(str(path) for path in data_dir.glob("funke/*/training/*.zarr"))
