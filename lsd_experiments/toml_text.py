"""Values as TOML."""

import json
from collections.abc import Sequence


def as_toml(value: str | bool | float | Sequence[float] | Sequence[str]) -> str:
    """``value`` as TOML; a tuple is an array."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def whole(value: float) -> float:
    """``value`` without the noise of sums of fractions; a whole number as such."""
    rounded = round(value, 6)
    return int(rounded) if float(rounded).is_integer() else rounded
