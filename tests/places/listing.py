"""All options of all commands, and all keys of a configuration, from the parsers and the classes themselves."""

import argparse
import contextlib
import dataclasses
import runpy
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydantic

from lsd_experiments import cli
from lsd_experiments.pipeline.settings import PipelineSettings

ROOT = Path(__file__).parents[2]
# Commands without a script.
MODULES = ("lsd_experiments.selftest", "lsd_experiments.demo", "lsd_experiments.families.lsd.segment",
           "lsd_experiments.families.cellmap")
Command = tuple[Callable[[argparse.Namespace], Any], argparse.ArgumentParser]


def scripts() -> list[Path]:
    """Those that take options by :mod:`lsd_experiments.cli`; mknet.py has none, and those of 02_train/cellmap are csc's."""
    found = [path for part in ("01_data", "02_train", "03_predict", "containers") for path in sorted((ROOT / part).rglob("*.py"))]
    return [path for path in found if path.name != "mknet.py" and path.parent.name not in ("build", "cellmap")]


def command_of(script: Path | str) -> Command:
    """What ``script``, or a module, hands to :func:`lsd_experiments.cli.run`; nothing of it is done."""
    found: list[Command] = []

    def caught(command: Any, parser: argparse.ArgumentParser, arguments: Any = None) -> None:
        found.append((command, parser))
        sys.exit(0)

    run, arguments, path = cli.run, sys.argv, list(sys.path)
    cli.run, sys.argv = caught, [str(script)]  # type: ignore[assignment]
    try:
        with contextlib.suppress(SystemExit):
            if isinstance(script, Path):
                runpy.run_path(str(script), run_name="__main__")
            else:
                sys.modules.pop(script, None)  # or runpy warns that it was imported
                runpy.run_module(script, run_name="__main__")
    finally:
        cli.run, sys.argv, sys.path[:] = run, arguments, path
    assert len(found) == 1, f"{script} calls cli.run {len(found)} times"
    return found[0]


def options() -> Iterator[tuple[str, str]]:
    """``("convert.py", "input")`` and so on; those of subcommands as ``"make dataset"``. Equal scripts are there once."""
    found = {(Path(script).name, option): None for script in [*scripts(), *MODULES] for option in _options(command_of(script)[1])}
    return iter(found)


def _options(parser: argparse.ArgumentParser, prefix: str = "") -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _options(inner, f"{name} ")
        else:
            yield prefix + action.dest


def keys(model: type = PipelineSettings, prefix: str = "") -> Iterator[str]:
    """``raw_file``, ``fragments.affs_file`` and so on."""
    for name, kind in typing.get_type_hints(model).items() if dataclasses.is_dataclass(model) else _hints(model):
        if typing.get_origin(kind) is typing.ClassVar:
            continue
        nested = [one for one in (kind, *typing.get_args(kind)) if isinstance(one, type) and (
            issubclass(one, pydantic.BaseModel) or dataclasses.is_dataclass(one))]  # fmt: skip
        yield from keys(nested[0], f"{prefix}{name}.") if nested else [prefix + name]


def _hints(model: type[pydantic.BaseModel]) -> Iterator[tuple[str, Any]]:
    return ((name, field.annotation) for name, field in model.model_fields.items())
