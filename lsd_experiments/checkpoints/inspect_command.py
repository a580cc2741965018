"""``inspect_checkpoint.py``: what a checkpoint holds, as lines or as JSON."""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lsd_experiments import cli
from lsd_experiments.checkpoints.adam import ADAM
from lsd_experiments.checkpoints.finding import find_checkpoint
from lsd_experiments.checkpoints.inspection import Contents, inspect
from lsd_experiments.checkpoints.layout import INPUTS
from lsd_experiments.checkpoints.torch_contents import Facts, TorchContents, find_torch, inspect_torch, is_torch
from lsd_experiments.errors import UserError
from lsd_experiments.networks.network import Head


def main(description: str, experiments: Path, torch_facts: Callable[[Mapping[str, Any]], Facts] | None = None) -> None:
    """Print what the checkpoint on the command line holds, and which directories of ``experiments`` (02_train) it fits.

    :param torch_facts: what is said of the network of a file of PyTorch, by its tensors
    """
    parser = cli.parser(description)
    parser.add_argument("path", metavar="PATH",
                        help="a directory (its newest), an .index, .weights.h5, .pth or .pth.tar file, or a prefix")
    parser.add_argument("--checkpoint", type=cli.checkpoint, metavar="N|best", help="of a directory: its iteration, or best")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")

    def command(arguments: argparse.Namespace) -> None:
        path = Path(arguments.path)
        weights = _torch_file(path, arguments.checkpoint)
        contents: Contents | TorchContents = (
            inspect(path, experiments, arguments.checkpoint) if weights is None else inspect_torch(weights, torch_facts))
        print(json.dumps(contents.to_json(), indent=2) if arguments.json else describe(contents))

    cli.run(command, parser)


def _torch_file(path: Path, iteration: int | str | None) -> Path | None:
    """``path``, or that of ``iteration`` in it, if it is PyTorch's; of a directory with checkpoints of ours, too, these count.

    :raises UserError: if one is named, or found, that is not there
    """
    if is_torch(path):
        if iteration is not None:
            raise UserError(f"{path}: is one file, so that there is none to choose. Leave out --checkpoint")
        return path
    ours = not path.is_dir() or find_checkpoint(path) is not None
    return None if ours else find_torch(path, iteration)


def describe(contents: Contents | TorchContents) -> str:
    """``contents`` as lines, a label and a value in each."""
    if isinstance(contents, TorchContents):
        return _lines(contents.path, _torch_rows(contents))
    out = contents.num_fmaps_out
    rows = {
        "format": contents.format,
        "scope": contents.scope,
        "variant": " or ".join(contents.variants) or "none of 02_train's",
        "input": _input(contents.input_channels),
        "heads": ", ".join(map(_head, contents.heads)) or "none",
        "feature maps": _list(contents.fmaps) + (f"; {out} before the heads" if out != contents.fmaps[0] else ""),
        "downsampling": _list("x".join(map(str, factor)) for factor in contents.downsample_factors),
        "parameters": f"{contents.parameters:,}",
        "iteration": "not said" if contents.iteration is None else contents.iteration,
        "validation": _validation(contents),
        "optimizer": _optimizer(contents),
        "averages": _average(contents),
        "voxel size": contents.voxel_size and f"{_list(contents.voxel_size)} nm",
        "raw": ", ".join(f"{kind} {low:g} to {high:g}" for kind, (low, high) in (contents.raw_ranges or {}).items()),
        "fits": _list(contents.fits) or "no directory of 02_train as it is",
        "with other widths": _list(contents.fits_other_widths),
    }
    return _lines(contents.path, rows)


def _torch_rows(contents: TorchContents) -> dict[str, Any]:
    steps = "" if contents.steps is None else f", after {_count(contents.steps, 'step')}"
    return {
        "format": contents.format,
        **contents.facts,
        "parameters": f"{contents.parameters:,} in {_count(contents.tensors, 'tensor')}",
        "iteration": "not said" if contents.iteration is None else contents.iteration,
        "optimizer": f"{contents.optimizer}{steps}" if contents.optimizer else "no state of it",
    }


def _lines(path: str, rows: Mapping[str, Any]) -> str:
    return "\n".join([path, *(f"  {label:<19}{value}" for label, value in rows.items() if value not in (None, ""))])


def _input(channels: int) -> str:
    names = " and ".join(source.name for source in INPUTS.get(channels, ())) or "not known"
    return f"{names} ({_count(channels, 'channel')})"


def _head(head: Head) -> str:
    name = f", named {head.checkpoint_name}" if head.checkpoint_name else ""
    return f"{head.name} ({_count(head.channels, 'channel')}{name})"


def _optimizer(contents: Contents) -> str:
    if contents.optimizer is None or contents.steps is None:
        return "no state of it"
    slots = "" if contents.optimizer == ADAM else f" ({contents.optimizer})"
    return f"Adam{slots}, after {_count(contents.steps, 'step')}"


def _average(contents: Contents) -> str | None:
    found = contents.average
    return None if not found else f"of weights, which predict: after {_count(found['steps'], 'step')}, decay {found['decay']:g}"


def _validation(contents: Contents) -> str | None:
    found = contents.validation
    if not found:
        return None
    scores = (f"{name} {found[name]:.4g}" for name in ("loss", "voi_sum", "voi_split", "voi_merge") if name in found)
    return f"{', '.join(scores)}, after iteration {found['iteration']}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _list(values: Iterable[object] | Sequence[object]) -> str:
    return ", ".join(map(str, values))
