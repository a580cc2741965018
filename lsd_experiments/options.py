"""Settings that are declared once, for the command line, for configurations, for workers and for the documentation.

They are the fields of a frozen dataclass, whose annotations say what values fit, and :func:`option` the rest::

    @dataclass(frozen=True, kw_only=True)
    class PredictOptions:
        seamless: bool = option(False, "blocks that leave no seams")

:func:`add_options` makes the arguments, :func:`given` reads them; a configuration of :mod:`lsd_experiments.settings` has the
dataclass as a section; workers get ``dataclasses.asdict``, for :func:`from_json`; the documentation shows :func:`table`. Neither
NumPy nor pydantic is imported: ``--help`` needs neither.
"""

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Lt

from lsd_experiments import cli
from lsd_experiments.errors import UserError

Positive = Annotated[int, Ge(1)]
NotNegative = Annotated[int, Ge(0)]
Which = Annotated[Positive | Literal["best"], "a checkpoint"]  # its iteration, or the best
PositiveNumber = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Lt(1)]
Nm = Annotated[float, Gt(float("-inf")), Lt(float("inf"))]
PositiveNm = Annotated[float, Gt(0), Lt(float("inf"))]
PositiveShape = tuple[Positive, Positive, Positive]  # (z, y, x) in voxels
Size = tuple[Nm, Nm, Nm]  # (z, y, x) in nm
PositiveSize = tuple[PositiveNm, PositiveNm, PositiveNm]

FORBID: Any = {"extra": "forbid"}  # ``__pydantic_config__`` of a section: an unknown key is an error
REQUIRED: Any = dataclasses.MISSING
# A size of 0 is refused where its volume is known, in one line.
TYPES: dict[Any, Callable[[str], Any]] = {Positive: cli.positive, NotNegative: cli.not_negative, Which: cli.checkpoint,
                                              PositiveNumber: cli.positive_number, Share: cli.share,
                                              Nm: float, PositiveNm: float,
                                              float: float, str: str}
Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class Parsed:
    """In an annotation: the words of the command line, or the value of a configuration, are what ``parse`` makes of them."""

    parse: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self._value, handler(source))

    def _value(self, value: Any) -> Any:
        try:
            return self.parse(value if isinstance(value, str | list | tuple) else [value])
        except UserError as error:
            raise ValueError(str(error)) from error


@dataclasses.dataclass(frozen=True)
class Said:
    """What an option says of itself, besides its type.

    ``help``: one line, the default in it, if need be as ``%(default)s``; ``flags``: its spellings, that of a positional argument
    without dashes; ``names``: further spellings in configurations; ``metavar``; ``group``: the heading in the help.
    """

    help: str
    flags: tuple[str, ...]
    names: tuple[str, ...] = ()
    metavar: str | tuple[str, ...] | None = None
    group: str = ""


def option(default: Value, help: str, *flags: str, names: Sequence[str] = (), **more: Any) -> Value:
    """A field with ``default``, which is said in ``help``; flags: default ``--<name>``. See :class:`Said`."""
    said = Said(help, flags, tuple(names), **more)
    field: Any = dataclasses.field(default=default, metadata={"said": said})
    return typing.cast(Value, field)


def options(model: type) -> Iterator[tuple[dataclasses.Field[Any], Said]]:
    """The options of ``model``, each with its field, its own before those of its bases."""
    own = model.__annotations__
    for field in sorted(dataclasses.fields(model), key=lambda field: field.name not in own):
        if "said" in field.metadata:
            said: Said = field.metadata["said"]
            yield field, dataclasses.replace(said, flags=said.flags or ("--" + field.name.replace("_", "-"),))


def add_options(
    parser: argparse.ArgumentParser, model: type, without: Container[str] = (), said: Mapping[str, object] = MappingProxyType({})
) -> None:
    """An argument for each option of ``model``, ``without`` some of its fields; ``dest`` is the field's name.

    ``said``: what the help calls the default of a field, if not what it is.
    """
    groups: dict[str, Any] = {"": parser}
    hints = typing.get_type_hints(model, include_extras=True)
    for field, one in options(model):
        if field.name in without:
            continue
        if one.group not in groups:
            groups[one.group] = parser.add_argument_group(one.group)
        keywords = _keywords(hints[field.name], one)
        if one.flags[0].startswith("-"):  # argparse calls others by their flag
            keywords["dest"] = field.name
        default = None if field.default is dataclasses.MISSING else field.default
        help = _help(field, one, said).replace("%", "%%")
        groups[one.group].add_argument(*one.flags, default=default, help=help, **keywords)


def given(arguments: argparse.Namespace, model: type) -> dict[str, Any]:
    """The values of those options of ``model`` that the command line has, by the fields' names.

    :raises UserError: if one does not parse
    """
    hints = typing.get_type_hints(model, include_extras=True)
    values = {}
    for field, _ in options(model):
        if field.name not in arguments:
            continue
        value, parsed = getattr(arguments, field.name), _parsed(_not_none(hints[field.name]))
        if isinstance(value, list):
            value = parsed.parse(value) if parsed else tuple(value)
        values[field.name] = value
    return values


def renamed(values: Mapping[str, Any], model: type) -> dict[str, Any]:
    """``values`` of a configuration's section by the fields' names.

    :raises ValueError: if one is there under two spellings
    """
    found = dict(values)
    for field, said in options(model):
        for name in said.names:
            if name in found and field.name in found:
                raise ValueError(f"'{field.name}' and '{name}' are the same. Leave one out")
            if name in found:
                found[field.name] = found.pop(name)
    return found


def from_json(values: Mapping[str, Any], model: type[Value]) -> Value:
    """A ``model`` from what ``dataclasses.asdict`` gave, after a way through JSON."""
    return model(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def table(model: type, section: type | None = None, said: Mapping[str, object] = MappingProxyType({})) -> str:
    """The options of ``model`` as a Markdown table; those that ``section`` has, too, are keys of configurations.

    ``said``: as of :func:`add_options`.
    """
    keys = {field.name for field, _ in options(section)} if section else set()
    lines = ["| argument | key | |", "|---|---|---|"] if section else ["| argument | |", "|---|---|"]
    for field, one in options(model):
        flags = one.flags if one.flags[0].startswith("-") else (one.metavar,)
        cells = [", ".join(f"`{flag}`" for flag in flags), _help(field, one, said)]
        if section:
            cells.insert(1, ", ".join(f"`{name}`" for name in (field.name, *one.names)) if field.name in keys else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _help(field: dataclasses.Field[Any], one: Said, said: Mapping[str, object]) -> str:
    """As people read it."""
    return one.help % {"default": said.get(field.name, field.default)}


def _keywords(hint: Any, said: Said) -> dict[str, Any]:
    """What argparse is told of values that fit ``hint``."""
    if hint == bool | None:
        return {"action": argparse.BooleanOptionalAction}
    hint = _not_none(hint)
    if _parsed(hint):
        return {"nargs": "+", "metavar": said.metavar}
    if hint is bool:
        return {"action": "store_true"}
    if typing.get_origin(hint) is Literal:
        return {"choices": typing.get_args(hint)}
    if typing.get_origin(hint) is tuple:
        of, *others = typing.get_args(hint)
        several = {"nargs": "+", "metavar": said.metavar} if others == [...] else {
            "nargs": 1 + len(others), "metavar": said.metavar or ("Z", "Y", "X")}
        return {"type": TYPES[of], **several}
    return {"type": TYPES[hint], "metavar": said.metavar}


def _parsed(hint: Any) -> Parsed | None:
    return next((one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Parsed)), None)


def _not_none(hint: Any) -> Any:
    """``hint`` without ``| None``."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kept = [one for one in typing.get_args(hint) if one is not type(None)]
        return kept[0] if len(kept) == 1 else hint
    return hint
