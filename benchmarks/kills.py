"""kill -9 of workers, schedulers and runs through all stages, and whether the result is that of an undisturbed run.

    python benchmarks/kills.py                                       # one seed, SQLite: two minutes
    python benchmarks/kills.py --seeds 1 2 3 4 5 --db postgresql     # a private server of its own

Each seed is at least 30 kills, at random moments, in one pass from raw to a segmentation, driven through 03_predict/run.py; a run
that does not survive a kill is started again, until one ends with status 0. Compared are all files of the container and the
scores, byte by byte, and all rows of the region graph. Exit status 1 if anything differs.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.faults.comparing import compare_files, compare_graphs
from tests.faults.databases import Postgresql, Sqlite, open_database
from tests.faults.killing import LEAST, START, Report, run_through
from tests.faults.running import STAGES, Run
from tests.faults.scene import make_scene, write_config
from tests.rag.cluster import missing

TARGETS = ("worker", "scheduler", "run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="one pass for each (default: 1)")
    kinds = Sqlite.kind, Postgresql.kind
    parser.add_argument("--db", choices=kinds, default=Sqlite.kind, help="of the region graph (default: sqlite)")
    options = parser.parse_args()
    reason = missing() if options.db == "postgresql" else None
    if reason:
        sys.exit(f"error: --db postgresql {reason}")
    with tempfile.TemporaryDirectory() as name, open_database(options.db) as database:
        directory = Path(name)
        make_scene(directory)
        undisturbed = directory / "undisturbed"
        run = Run(write_config(undisturbed, directory, database.config(undisturbed)), directory / "log")
        assert run.wait() == 0, run.text()
        stages = " ".join(f"{stage:>{max(8, len(stage))}}" for stage in (START, *STAGES))
        print(f"{options.db}; kills per stage:\n{'seed':>4} {stages}"
              "  workers/schedulers/runs  runs started     s  equal")
        equal = [_one(directory, database, seed) for seed in options.seeds]
    sys.exit(0 if all(equal) else 1)


def _one(directory: Path, database: Sqlite | Postgresql, seed: int) -> bool:
    """Whether the pass of ``seed`` was hit often enough, and gave what the undisturbed one gave; prints its row."""
    undisturbed, killed = directory / "undisturbed", directory / f"killed_{seed}"
    start = time.perf_counter()
    report = run_through(write_config(killed, directory, database.config(killed)), killed / "out.zarr", directory, seed)
    seconds = time.perf_counter() - start
    unlike = compare_files(undisturbed, killed) + compare_graphs(database.graph(undisturbed), database.graph(killed))
    if report.kills < LEAST:
        unlike.append(f"only {report.kills} kills")
    print(_row(report, seconds, not unlike), *unlike, sep="\n     ", flush=True)
    return not unlike


def _row(report: Report, seconds: float, equal: bool) -> str:
    stages = " ".join(f"{report.stages[stage]:>{max(8, len(stage))}}" for stage in (START, *STAGES))
    targets = "/".join(str(report.targets[target]) for target in TARGETS)
    return f"{report.seed:>4} {stages}  {targets:>23}  {report.runs:>12}  {seconds:>4.0f}  {'yes' if equal else 'NO'}"


if __name__ == "__main__":
    main()
