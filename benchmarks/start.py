"""How soon commands answer: an import of the package and ``--help`` of each command, each a process of its own.

    python benchmarks/start.py [--repeat 7]

The least of the runs counts, besides Python alone; a command that imports TensorFlow for this fails the benchmark.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import machine

ROOT = Path(__file__).resolve().parent.parent
SETUP = "02_train/zebrafinch/mtlsd"
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import lsd_experiments": ["-c", "import lsd_experiments"],
    **{f"{script} --help": [script, "--help"] for script in (
        f"{SETUP}/mknet.py", f"{SETUP}/train.py", f"{SETUP}/predict.py", "01_data/fetch_data.py", "01_data/view_data.py",
        "03_predict/run.py", "03_predict/status.py", "03_predict/evaluate_volumes.py")},
}
HEAVY = ("tensorflow", "keras", "torch", "jax", "gunpowder", "neuroglancer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    print(f"{machine()}\n\n| command | least s | median s |\n|---|---|---|")
    for name, words in COMMANDS.items():
        check_light(words)
        seconds = [clock(words) for _ in range(options.repeat)]
        print(f"| `{name}` | {min(seconds):.2f} | {statistics.median(seconds):.2f} |")


def clock(words: list[str]) -> float:
    begin = time.perf_counter()
    run(words)
    return time.perf_counter() - begin


def run(words: list[str]) -> str:
    return subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}).stderr


def check_light(words: list[str]) -> None:
    """Stop if the command imports a framework, as ``-X importtime`` lists."""
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in run(["-X", "importtime", *words]).splitlines()}
    found = sorted(imported & set(HEAVY))
    if found:
        raise SystemExit(f"{' '.join(words)} imports {', '.join(found)}")


if __name__ == "__main__":
    main()
