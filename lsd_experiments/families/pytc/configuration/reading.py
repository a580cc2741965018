"""What is said in files and on the command line: values by whole names, each with the place where it stands."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.pytc.configuration.defaults import KINDS, KNOWN, RENAMED
from lsd_experiments.families.pytc.configuration.kinds import Kind, Located, kind_of, show

LARGEST = 2**20  # bytes of a file
DECODED = 1000  # characters of a text that may be a number, a list or None
SECTIONS = {name.rpartition(".")[0] for name in KNOWN} | {name.partition(".")[0] for name in KNOWN}


def read_file(path: str | Path) -> dict[str, Located]:
    """The values of a YAML file, by whole names like ``MODEL.FILTERS``.

    :raises UserError: if it is no YAML, has a key twice, one that is not known, or a value of another kind
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: is larger than 1 MB, so that it is no configuration. Name another file")
        loader = yaml.SafeLoader(path.read_bytes())
        root = loader.get_single_node()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Name a configuration, like configs/SNEMI-Base.yaml") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory. Name a configuration in it") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else f"{path}"
        raise UserError(f"{where}: is no YAML ({getattr(error, 'problem', None) or type(error).__name__}). Correct it") from error
    return {} if root is None else dict(_values(loader, path, root))


def read_pairs(pairs: Sequence[str]) -> dict[str, Located]:
    """The values of ``KEY VALUE KEY VALUE ...`` on the command line.

    :raises UserError: as :func:`read_file`, or if a value is missing
    """
    if len(pairs) % 2:
        raise UserError(f"{pairs[-1]}: has no value; keys and values alternate: KEY VALUE KEY VALUE")
    found = {}
    for name, text in zip(pairs[::2], pairs[1::2], strict=True):
        where = f"command line: {name} {text}"
        known = known_name(name, where)
        found[known] = Located(checked(known, decode(text), where), where)
    return found


def known_name(name: str, where: str) -> str:
    """``name`` as it is spelt today.

    :raises UserError: if there is no such key; the nearest is named
    """
    name = RENAMED.get(name, name)
    if name in KNOWN:
        return name
    if name in SECTIONS:
        example = next(key for key in KNOWN if key.startswith(f"{name}."))
        raise UserError(f"{where}: {name} is no key, but has keys. Name one of them, like {example}")
    raise UserError(f"{where}: {name} is no key{nearest(name, KNOWN) or '. See docs/snemi3d.md for those that there are'}")


def kinds_of(name: str) -> tuple[Kind, ...]:
    """The kinds of values that the key ``name`` takes, beside None."""
    return KINDS.get(name) or (kind_of(KNOWN[name]),)


def checked(name: str, value: Any, where: str) -> Any:
    """``value``, if it is None or of a kind that the key takes.

    :raises UserError: otherwise
    """
    if isinstance(value, tuple):
        value = list(value)
    kinds = kinds_of(name)
    if value is None or any(kind.fits(value) for kind in kinds):
        return value
    hint = f": write {value}.0" if isinstance(value, int) and not isinstance(value, bool) and kinds == (Kind("float"),) else ""
    raise UserError(f"{where}: {name} is {show(value)}, but {' or '.join(map(str, kinds))} is asked for{hint}")


def decode(value: Any) -> Any:
    """What a text stands for: ``[1, 2]``, ``1e-3`` and ``None`` are values, all else is a text."""
    if not isinstance(value, str) or len(value) > DECODED:
        return value
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value
    return value if isinstance(found, set | dict | bytes | complex) else found


def _values(loader: Any, path: Path, root: yaml.Node, before: str = "") -> Iterator[tuple[str, Located]]:
    where = f"{path}:{root.start_mark.line + 1}"
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{where}: {before[:-1] or 'the file'} is no mapping of keys to values. Write KEY: value, a line each")
    seen = set()
    for key, node in root.value:
        where = f"{path}:{key.start_mark.line + 1}"
        name = before + str(key.value)
        if name in seen:
            raise UserError(f"{where}: {name} stands twice. Leave one out")
        seen.add(name)
        if name in SECTIONS:
            yield from _values(loader, path, node, f"{name}.")
            continue
        known = known_name(name, where)
        yield known, Located(checked(known, decode(_constructed(loader, node, where)), where), where)


def _constructed(loader: Any, node: yaml.Node, where: str) -> Any:
    """:raises UserError: if it is a value of YAML's own kinds, like a date, or an object"""
    try:
        return loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{where}: the value cannot be read ({' '.join(str(error).split())[:100]}). Correct it") from error


def as_tree(values: dict[str, Any]) -> dict[str, Any]:
    """``values`` by whole names as a tree."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *sections, last = name.split(".")
        here = tree
        for section in sections:
            here = here.setdefault(section, {})
        here[last] = value
    return tree

