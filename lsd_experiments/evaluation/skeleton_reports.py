"""Scores on skeletons for people and programs: a short table, lines and a CSV file of errors, JSON."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.writing import put_text

if TYPE_CHECKING:
    from lsd_experiments.evaluation.skeleton_errors import Merges, Splits

FIELDS = ("error", "skeleton", "other_skeleton", "segment", "other_segment", "z", "y", "x", "other_z", "other_y", "other_x")


def summary(row: Mapping[str, Any]) -> str:
    """The scores of a segmentation as a table of some lines."""
    lines = [
        f"{row['skeletons']} skeletons of {row['path_length'] / 1e6:.4g} mm in {row['segments']} segments; {row['nodes']} nodes, "
        f"{row['background_nodes']} of them on the background",
        "", f"{'':16}{'split':>12}{'merge':>12}{'combined':>12}",
        f"{'errors':16}{row['splits']:12d}{row['merges']:12d}",
        f"{'  per skeleton':16}{row['splits'] / row['skeletons']:12.4f}{row['merges'] / row['skeletons']:12.4f}",
        _line("Rand", row["rand_split"], row["rand_merge"], row["xpress_rand"]),
        _line("VOI (bits)", row["voi_split"], row["voi_merge"], row["voi_sum"]),
        _line("normalized VOI", row["nvi_split"], row["nvi_merge"], row["xpress_voi"]),
        "", f"{'':16}{'nm':>12}{'of at most':>12}{'normalized':>12}{'by mean length':>16}",
        f"{'run length':16}{row['erl']:12.1f}{row['max_erl']:12.1f}{row['normalized_erl']:12.4f}"
        f"{row['xpress_normalized_erl']:16.4f}",
        "", f"XPRESS: ERL+Rand {row['xpress_erl_rand']:.4f}, ERL+VOI {row['xpress_erl_voi']:.4f}, Rand {row['xpress_rand']:.4f}, "
        f"VOI {row['xpress_voi']:.4f}",
    ]
    return "\n".join(lines)


def _line(name: str, *values: float) -> str:
    return f"{name:16}" + "".join(f"{value:12.4f}" for value in values)


def error_lines(splits: "Splits", merges: "Merges", skeletons: int, in_xyz: bool = False) -> Iterator[str]:
    """The errors in words, positions in nm; how many ``skeletons`` have how many splits."""
    def show(position: NDArray[np.float64]) -> str:
        return "(" + ", ".join(f"{value:.10g}" for value in (position[::-1] if in_xyz else position)) + ")"

    yield f"{len(splits.edges)} splits (positions {'x, y, z' if in_xyz else 'z, y, x'} in nm):"
    for k in np.argsort(splits.components, kind="stable"):
        first, second = map(show, splits.positions[k])
        yield f"  skeleton {splits.components[k]}: {first} to {second}, segments {' and '.join(map(str, splits.segments[k]))}"
    of_each = np.bincount(splits.components, minlength=skeletons)
    yield "skeletons by their splits: " + ", ".join(f"{n} with {k}" for k, n in enumerate(np.bincount(of_each)) if n)
    others = f", of which {len(merges.segments)} are shown" if len(merges.segments) < merges.count else ""
    yield f"{merges.count} merges{others}:"
    for segment, (one, other), position in zip(merges.segments, merges.components, merges.positions, strict=True):
        yield f"  segment {segment}: {show(position[0])} of skeleton {one}, {show(position[1])} of skeleton {other}"


def write_skeleton_scores(prefix: str | Path, report: Mapping[str, Any], splits: "Splits", merges: "Merges") -> list[Path]:
    """Write ``prefix``.json (``report``) and ``prefix``.csv (the errors, positions in nm), each whole; return their paths."""
    prefix = Path(prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    paths = [prefix.with_name(prefix.name + suffix) for suffix in (".json", ".csv")]
    put_text(paths[0], json.dumps(report, indent=1, default=float) + "\n")
    put_text(paths[1], _csv(splits, merges))
    return paths


def _csv(splits: "Splits", merges: "Merges") -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(FIELDS)
    for component, segments, positions in zip(splits.components, splits.segments, splits.positions, strict=True):
        writer.writerow(["split", component, component, *segments, *positions.reshape(-1).tolist()])
    for segment, components, positions in zip(merges.segments, merges.components, merges.positions, strict=True):
        writer.writerow(["merge", *components, segment, segment, *positions.reshape(-1).tolist()])
    return stream.getvalue()
