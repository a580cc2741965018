"""How the chunks of a zarr array in a bucket are named: 0.0.0 or 0/0/0, whatever its metadata say."""

import math
from typing import Any

import numpy as np

from lsd_experiments.arrays.patience import is_failure

LISTED = 1000  # names, as many as one request gives
PROBED = 9  # chunks that are looked for where nothing is listed


def chunk_names(filesystem: Any, path: str, meta: dict[str, Any]) -> list[tuple[str, bool]]:
    """Some names in the array at ``path``, bucket/key, and whether they are those of directories.

    Where the bucket is not listed: of chunks all over the array, those that are there.
    """
    bucket, key, _ = filesystem.split_path(path)
    prefix = f"{key}/" if key else ""
    try:
        found = filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, Delimiter="/", MaxKeys=LISTED)
    except PermissionError:
        return probe(filesystem, path, meta)
    except FileNotFoundError:
        return []
    files = [(entry["Key"].removeprefix(prefix), False) for entry in found.get("Contents", ())]
    return files + [(entry["Prefix"].removeprefix(prefix).rstrip("/"), True) for entry in found.get("CommonPrefixes", ())]


def probe(filesystem: Any, path: str, meta: dict[str, Any]) -> list[tuple[str, bool]]:
    """The names of some chunks all over the array at ``path``, of those that are there."""
    grid = [-(-length // chunk) for length, chunk in zip(meta["shape"], meta["chunks"], strict=True)]
    numbers = {round(n * (math.prod(grid) - 1) / (PROBED - 1)) for n in range(PROBED)}
    places = [tuple(map(str, np.unravel_index(number, grid))) for number in sorted(numbers)]
    names = [(separator.join(place), place[0], separator == "/") for place in places for separator in "./"]
    paths = [f"{path}/{name}" for name, _, _ in names]
    answers = filesystem.cat_ranges(paths, [0] * len(paths), [1] * len(paths), on_error="return")
    for answer in answers:
        if is_failure(answer):
            raise answer
    return [(first if is_directory else name, is_directory)
            for (name, first, is_directory), answer in zip(names, answers, strict=True) if isinstance(answer, bytes)]
