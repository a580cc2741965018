"""The two files of an evaluation: what the challenge publishes, and all of it."""

import json
import math
from pathlib import Path
from typing import Any

from lsd_experiments.writing import put_text


def write_results(path: str | Path, result: dict[str, Any], extended: dict[str, Any]) -> Path:
    """Write ``path`` and, beside it, ``<name>_extended.json``, which is returned; numbers that are none are null."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.stem}_extended{path.suffix}")
    for file, values in ((beside, extended), (path, result)):
        put_text(file, json.dumps(_plain(values), indent=4, allow_nan=False) + "\n")
    return beside


def shown(result: dict[str, Any]) -> str:
    """The scores of classes and the overall ones, as a table."""
    rows = [(label, scores.get("combined_score", scores.get("iou"))) for label, scores in sorted(result["label_scores"].items())]
    rows += [(key.removesuffix("_score").removeprefix("overall_"), result[key]) for key in
             ("overall_instance_score", "overall_semantic_score", "overall_score")]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {value:.4f}" for name, value in rows)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
