"""Names of whole volumes that lie publicly: those of ``[volumes]`` in ``01_data/datasets.toml``."""

import re
import tomllib
from functools import cache
from pathlib import Path

CATALOGUE = Path(__file__).resolve().parents[2] / "01_data" / "datasets.toml"
NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")  # no path that anybody would write, unless it is there


def address_of(name: str, directory: Path | None = None) -> str:
    """The address that the name of a public volume stands for; any other ``name`` as it is, and so one that is a file's here.

    :param directory: that relative paths are of (default: this process's)
    """
    if not NAME.fullmatch(name) or (Path(directory or ".") / name).exists():
        return name
    return _addresses().get(name, name)


@cache
def _addresses() -> dict[str, str]:
    if not CATALOGUE.is_file():  # an installation without the scripts
        return {}
    # Not by the catalogue's settings, which take long to import; a test says that they read it.
    table = tomllib.loads(CATALOGUE.read_text()).get("volumes", {})
    return {name: volume["address"] for name, volume in table.items()}
