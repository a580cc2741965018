"""What 01_data fetched."""

from pathlib import Path


def fetched_volumes(data_dir: Path) -> list[str]:
    """The training volumes of all datasets of the paper that were fetched into ``data_dir``, 01_data."""
    return sorted(str(path) for path in data_dir.glob("funke/*/training/*.zarr"))
