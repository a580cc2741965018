"""Reading configurations: a Python file is run, TOML is read."""

import contextlib
import sys
import traceback
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.cellmap.configuration.aliases import published_modules
from lsd_experiments.families.cellmap.configuration.checks import checked, environment_seed
from lsd_experiments.families.cellmap.configuration.settings import PARAMETERS, Settings
from lsd_experiments.settings import read_values

NEAR = 0.85  # how alike a name is that is taken for a parameter's, misspelt
IGNORED = ("debug_memory",  # a switch of the published program's own diagnosis
           "processing", "workers")  # of csc process


def read(path: Path | str) -> Settings:
    """The settings of ``path``.

    :raises UserError: if it is not there, ends in an error, or says what is not known
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise UserError(f"{path}: no such configuration. Name a Python file, like train_3D.py, or a TOML file")
    values = dict(read_values(path)) if path.suffix == ".toml" else _run_seeded(path)
    values = {name: value for name, value in values.items() if name not in IGNORED}
    if path.suffix == ".toml":
        _check_names(values, path)
    else:
        check_near(values, path)
    said = {name: value for name, value in values.items() if name in PARAMETERS}
    base = said.pop("base_experiment_path", None)
    return checked(said, path, path.parent if base is None else (path.parent / str(base)).absolute())


def defaults(base: Path | str = ".") -> Settings:
    """What holds where a file says nothing, with ``base`` for its directory."""
    base = Path(base).absolute()
    return checked({}, base / "defaults.toml", base)


def _run_seeded(path: Path) -> dict[str, Any]:
    """As :func:`run`; the weights of a ``model`` that is made there are drawn from SEED, or 42: random_seed is not known yet."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(environment_seed())
        return run(path)


def run(path: Path) -> dict[str, Any]:
    """The public names of the Python file ``path`` after it ran, in its directory, as if imported.

    :raises UserError: if it ends in an error; its line is named
    """
    module = types.ModuleType(f"csc_configuration_{path.stem}")
    module.__file__ = str(path)
    try:
        code = compile(path.read_bytes(), str(path), "exec")
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}:{getattr(error, 'lineno', None) or 1}: is no Python ({error.args[0]}). Correct it") from error
    sys.modules[module.__name__] = module  # its classes belong to it
    with contextlib.chdir(path.parent), _importable(path.parent), published_modules():
        try:
            exec(code, module.__dict__)  # the user's code, run as such
        except (Exception, SystemExit) as error:  # whatever the user's code ends in
            raise UserError(_failure(path, error)) from error
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


@contextlib.contextmanager
def _importable(directory: Path) -> Iterator[None]:
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(directory))


def _failure(path: Path, error: BaseException) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    said = (str(error).strip().splitlines() or [""])[-1]
    return f"{path}:{lines[-1] if lines else 1}: ends in {type(error).__name__}{said and f' ({said})'}. Correct it"


def _check_names(values: Mapping[str, Any], path: Path) -> None:
    for name in values:
        if name not in PARAMETERS:
            raise UserError(f"{path}: no parameter {name!r}{nearest(name, PARAMETERS)}")


def check_near(values: Mapping[str, Any], path: Path, known: Sequence[str] = PARAMETERS, functions: Sequence[str] = ()) -> None:
    """A Python file has names of its own, too; those that look like a parameter's are taken for misspelt.

    :param functions: parameters that are functions
    :raises UserError: if a name is one
    """
    import difflib

    for name, value in values.items():
        if name in known or isinstance(value, (types.ModuleType, type)):
            continue
        likely = functions if isinstance(value, types.FunctionType) else known
        if near := difflib.get_close_matches(name, likely, n=1, cutoff=NEAR):
            raise UserError(f"{path}: no parameter {name!r}; did you mean {near[0]!r}? A name of your own may begin with _")
