"""One row of the table of scores, and how those of an evaluation's JSON file are made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsd_experiments.errors import UserError
from lsd_experiments.provenance import AVERAGED


@dataclass(frozen=True)
class Entry:
    """The scores of one segmentation.

    :param network: the one that predicted the affinities, like ``xpress/baseline``
    :param checkpoint: its iteration
    :param truth: against which ground truth, where, in words: only scores of one truth can be compared
    :param made: key of the provenance of the scores
    :param content: fingerprint of that ground truth, and its scale: two files may have one name
    :param scores: by name; ``erl_norm`` is the normalized ERL that went into XPRESS's scores
    """

    network: str
    checkpoint: int
    merge_function: str
    threshold: float
    truth: str
    made: str
    scores: Mapping[str, float] = field(compare=False)
    content: str = field(default="", compare=False)


def read_entries(path: str | Path, network: str | None = None, iteration: int | None = None) -> list[Entry]:
    """The entries of a JSON file that evaluate.py wrote.

    :param network: in place of what the scores say, or where they do not
    :param iteration: the same
    :raises UserError: if it is no such file, or nothing says which network it was
    """
    try:
        summary = json.loads(Path(path).read_text())
        return entries_of(summary["curves"], summary["provenance"], network, iteration)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Name the .json that evaluate.py wrote") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory. Name the .json that evaluate.py wrote") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: not what evaluate.py writes ({type(error).__name__}: {error}). Name its .json") from error


def entries_of(curves: Mapping[str, Any], provenance: Mapping[str, Any], network: str | None = None,
               iteration: int | None = None) -> list[Entry]:
    """The entries of all ``curves`` that evaluate.py wrote with this provenance.

    :raises UserError: if nothing says which network it was
    """
    said = provenance.get("network", {})
    name = f"{said['name']}, averaged" if said.get(AVERAGED) else said.get("name")
    network, iteration = network or name, iteration or said.get("iteration")
    if network is None or iteration is None:
        raise UserError("the affinities did not say which network and checkpoint predicted them. Say so with --network NAME "
                        "--iteration N")
    return [
        Entry(network, int(iteration), provenance["inputs"]["luts"]["name"], float(row["threshold"]),
              _truth(kind, provenance), str(provenance["key"]), _scores(row, provenance), _content(kind, provenance))
        for name, kind in provenance["curves"].items() for row in curves[name]]


def _truth(kind: str, provenance: Mapping[str, Any]) -> str:
    """What the scores are against: the file, the region, and how it is counted."""
    parameters = provenance["parameters"]
    said = [str(provenance["inputs"][kind]["name"])]
    if parameters.get("roi_offset") is not None:
        said.append(f"{_numbers(parameters['roi_offset'])} + {_numbers(parameters['roi_shape'])} nm")
    if kind == "skeletons" and parameters.get("parity"):
        said.append("parity")
    return ", ".join(said)


def _content(kind: str, provenance: Mapping[str, Any]) -> str:
    """What tells ground truths of one name apart; empty if that was not kept."""
    scale = provenance["parameters"].get("skeletons_scale", 1) if kind == "skeletons" else 1
    fingerprint = str(provenance["inputs"][kind].get("fingerprint", ""))
    return fingerprint if scale == 1 else f"{fingerprint}, {scale:g} nm per unit"


def _scores(row: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, float]:
    scores = {key: value for key, value in row.items() if key != "threshold"}
    normalized = "xpress_normalized_erl" if provenance["parameters"].get("parity") else "normalized_erl"
    return {**scores, **({"erl_norm": row[normalized]} if normalized in row else {})}


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.10g}" for value in values)
