"""All that was not measured on a GPU, in one command of eight minutes: every part in a process and a time of its own.

    python benchmarks/gpu.py --out gpu                        # writes gpu.json and gpu.md, and prints the table
    python benchmarks/gpu.py --out gpu --only forward wait    # some parts
    python benchmarks/gpu.py --out gpu --toy                  # the same code on a CPU at toy size

Parts: the machine's rates; the published networks forwards and a training step at full width, ours on each of Keras' backends
that are installed beside PyTorch, in float32, tf32, bfloat16 and float16; how long the GPU waits for batches in training;
blockwise prediction with one and two workers on the GPU; and for the time that is left a training of fib25 mtlsd at a quarter
of full width. A part that fails, or runs out of its time, is a line in the table: what it had measured until then counts.
docs/performance.md says what the rows mean.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import machine

Row = dict[str, Any]
BACKENDS = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}  # of Keras, and the module each needs
RESERVE = 75.0  # seconds that are kept for the last part
GRACE = 5.0  # seconds from the request to end until a part is killed
COLUMNS = {"part": "part", "what": "what", "candidate": "candidate", "precision": "precision", "seconds": "s",
           "with_copies": "s with copies", "rate": "TFLOP/s", "memory": "GPU GiB", "difference": "difference", "note": ""}


@dataclass(frozen=True)
class Part:
    """A part of the measurement: ``seconds`` at most, in a process with ``backend`` of Keras, if it takes one."""

    name: str
    seconds: float
    backend: str | None = None

    @property
    def title(self) -> str:
        """With the backend."""
        return f"{self.name} {self.backend}" if self.backend else self.name


def plan(backends: Sequence[str]) -> list[Part]:
    """All parts, the most wanted first; the last one takes what is left."""
    first, others = backends[:1], backends[1:]
    parts = [Part("machine", 25), Part("forward", 45, "PyTorch"), *(Part("forward", 70, name) for name in first)]
    parts += [Part("step", 40, "PyTorch")]
    parts += [Part(part, seconds, name) for name in first for part, seconds in (("step", 80), ("wait", 55), ("workers", 65))]
    parts += [Part(name, 45, other) for other in others for name in ("forward", "step")]
    return [*parts, *(Part("train", 600, name) for name in first)]


def run_parts(parts: Sequence[Part], seconds: float, work: Path, arguments: Sequence[str], tell: Any = None) -> list[Row]:
    """The rows of all ``parts``, within ``seconds`` together; ``tell`` is called with the rows of each."""
    end, rows = time.monotonic() + seconds, []
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        left = end - time.monotonic() - (0 if is_last or len(parts) == 1 else min(RESERVE, seconds / 4))
        if left < min(5.0, seconds / 10):
            found: list[Row] = [{"part": part.title, "note": "left out: no time was left"}]
        else:
            found = run_part(part, min(part.seconds, left), work, arguments)
        rows += found
        if tell is not None:
            tell(found)
    return rows


def run_part(part: Part, seconds: float, work: Path, arguments: Sequence[str]) -> list[Row]:
    """The rows of a part, which a process prints one by one; a last one says so, if it did not end well within ``seconds``."""
    command = [sys.executable, __file__, "--part", part.name, "--seconds", f"{seconds:.1f}", "--work", str(work), *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if part.backend == "PyTorch":
        command += ["--candidate", "PyTorch"]
    elif part.backend:
        environment["KERAS_BACKEND"] = part.backend
    out, err = (work / f"{part.name}_{part.backend}.{name}" for name in ("out", "err"))
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr, start_new_session=True)
        note = _wait(process, seconds)
    rows = [{"part": part.name, **json.loads(line)} for line in out.read_text().splitlines() if line.startswith("{")]
    if process.returncode and not note:
        note = f"failed: {_reason(err.read_text(errors='replace'))}"
    return [*rows, *([{"part": part.title, "note": note}] if note else [])]


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> str:
    """Wait for a part; end it, and what it started, when its time is over. What is to be said of that."""
    try:
        process.wait(seconds)
        note = ""
    except subprocess.TimeoutExpired:
        note = f"ended after {seconds:.0f} s: what it had until then counts"
    for number in (signal.SIGTERM, signal.SIGKILL):  # its group: workers that it left behind, too
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    return note


def _reason(text: str) -> str:
    """The last line of an error, without what is not a line of text."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def compared(rows: Sequence[Row]) -> list[Row]:
    """``rows`` with the greatest difference of their outputs from those of PyTorch in float32, else of the first there are."""
    kept = [row for row in rows if "outputs" in row]
    found = []
    for row in rows:
        row = dict(row)
        path = row.pop("outputs", None)
        same = [other for other in kept if path and other["what"] == row["what"]]
        same.sort(key=lambda other: (other["candidate"] != "PyTorch", other["precision"] != "float32"))
        if same:
            a, b = (np.load(name) for name in (path, same[0]["outputs"]))
            row["difference"] = float(np.abs(a - b).max())
        found.append(row)
    return found


def table(rows: Sequence[Row]) -> str:
    """A Markdown table; a dash for what a row does not have."""
    lines = [list(COLUMNS.values()), ["---"] * len(COLUMNS)]
    lines += [[_cell(key, row.get(key)) for key in COLUMNS] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "" if key == "note" else "-"
    if key == "difference":
        return f"{value:.0e}"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")


def measure(options: argparse.Namespace) -> None:
    """One part, in this process."""
    import gpu_parts
    import gpu_runs

    {"machine": gpu_parts.measure_machine, "forward": gpu_parts.measure_forward, "step": gpu_parts.measure_step,
     "wait": gpu_runs.measure_wait, "workers": gpu_runs.measure_workers, "train": gpu_runs.measure_train}[options.part](options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="the files' name, without .json and .md (default: gpu)")
    parser.add_argument("--minutes", type=float, default=8, help="for all parts (default: 8)")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, help="of Keras, best first (default: the installed)")
    parser.add_argument("--only", nargs="+", metavar="PART", help="these parts")
    parser.add_argument("--data", type=Path, help="container with volumes/raw and volumes/labels/neuron_ids of 8 nm, to train on "
                        "(default: the FIB-25 sample beside the repository, or a synthetic volume)")
    parser.add_argument("--keep", type=Path, help="directory for the trained network (default: it is not kept)")
    parser.add_argument("--toy", action="store_true", help="toy sizes, on whatever there is")
    for hidden in ("--part", "--candidate", "--work"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        measure(options)
        return
    backends = options.backends or [name for name, module in BACKENDS.items() if find_spec(module)]
    parts = [part for part in plan(backends) if not options.only or part.name in options.only]
    arguments = [*(["--toy"] if options.toy else []), *(["--data", str(options.data)] if options.data else []),
                 *(["--keep", str(options.keep)] if options.keep else [])]
    print(machine(), file=sys.stderr)
    with tempfile.TemporaryDirectory() as directory:
        rows = run_parts(parts, 60 * options.minutes - 2 * GRACE, Path(directory), arguments,
                         lambda found: print(*(json.dumps(row) for row in found), sep="\n", file=sys.stderr, flush=True))
        rows = compared(rows)
    summary = {"machine": machine(), "rows": rows}
    options.out.with_name(f"{options.out.name}.json").write_text(json.dumps(summary, indent=1) + "\n")
    text = f"{machine()}\n\n{table(rows)}\n"
    options.out.with_name(f"{options.out.name}.md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
