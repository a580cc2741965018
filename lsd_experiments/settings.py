"""Settings: frozen models whose unknown keys fail, read from TOML or JSON files; sections may be of :mod:`.options`."""

import dataclasses
import json
import re
import tomllib
import typing
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from lsd_experiments.errors import UserError, nearest

ALTERNATIVE = re.compile(r"constrained-\w+|(tuple|literal|list)\[.*\]")
SECRET = "db"  # the key whose value may be a URL with a password: it is not quoted


class Settings(pydantic.BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


Model = TypeVar("Model", bound=pydantic.BaseModel)


def load_settings(path: str | Path, model: type[Model]) -> Model:
    """Read ``path`` (TOML or JSON, by its suffix) as ``model``.

    :raises UserError: if the file is missing, is neither, or does not fit; the first misfit is named with its key.
    """
    return parse_settings(read_values(Path(path)), model, source=str(path))


def parse_settings(values: dict[str, Any], model: type[Model], source: str) -> Model:
    """Validate ``values`` as ``model``; ``source`` is how errors call where they came from."""
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise UserError(f"{source}: {_first_misfit(error, model)}") from error


def read_values(path: Path) -> dict[str, Any]:
    """What the file ``path`` (TOML or JSON, by its suffix) says, not validated.

    :raises UserError: if it is missing, or is neither
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file. Name a TOML or JSON config file")
    try:
        text = path.read_text()
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds a {type(values).__name__}, not a table of settings")
    return values


def _first_misfit(error: pydantic.ValidationError, model: type[pydantic.BaseModel]) -> str:
    misfits = error.errors()
    misspelt = [misfit for misfit in misfits if misfit["type"] == "extra_forbidden"]
    misfit = misspelt[0] if misspelt and misfits[0]["type"] == "missing" else misfits[0]  # or that is why it is missing
    misfit = misfit if misfit["type"] == "extra_forbidden" else _farthest(misfit, misfits)
    where = [str(part) for n, part in enumerate(misfit["loc"]) if not (n and _is_alternative(part))]  # the first is a key
    key = ".".join(where) or "the file"
    if misfit["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key '{key}'{nearest(where[-1], _keys(model, where[:-1]))}"
    if misfit["type"] == "missing":
        return f"'{key}' is missing"
    found = "" if SECRET in where else f", found {_without_secret(misfit['input'])!r}"
    return f"'{key}': {misfit['msg'].removeprefix('Value error, ')}{found}"


def _farthest(misfit: Any, misfits: list[Any]) -> Any:
    """Of a value that may be of several types ("a number, or one for each"), what the one says that came farthest."""
    place = misfit["loc"]
    begin = next((place[:n] for n, part in enumerate(place) if n and _is_alternative(part)), place)
    return max((other for other in misfits if other["loc"][: len(begin)] == begin), key=lambda other: len(other["loc"]))


def _is_alternative(part: int | str) -> bool:
    """Whether ``part`` of a place is no key, but pydantic's word for one of the types that a value may have."""
    return isinstance(part, str) and ALTERNATIVE.fullmatch(part) is not None


def _without_secret(value: Any) -> Any:
    """``value``, a part of a file, without what :data:`SECRET` says."""
    if isinstance(value, dict):
        return {key: _without_secret(inner) for key, inner in value.items() if key != SECRET}
    return value


def _keys(model: Any, path: list[str]) -> list[str]:
    """The keys of ``model``, or of the model or dataclass nested in it at ``path``."""
    for part in path:
        field = _fields(model).get(part)
        kinds = (field, *typing.get_args(field))  # of "Nested | None", too
        nested = [kind for kind in kinds if isinstance(kind, type) and _fields(kind)]
        if not nested:
            break
        model = nested[0]
    return list(_fields(model))


def _fields(model: Any) -> dict[str, Any]:
    """The keys of a model or dataclass, with their annotations."""
    if dataclasses.is_dataclass(model):
        return {field.name: field.type for field in dataclasses.fields(model)}
    return {key: field.annotation for key, field in getattr(model, "model_fields", {}).items()}
