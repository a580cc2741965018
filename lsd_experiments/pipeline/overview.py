"""What a run would do, and how far it is: from the plans of its stages, and from what is on disk."""

import datetime
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise import BlockTask, count_blocks, count_workers
from lsd_experiments.blockwise.workers import check_workers
from lsd_experiments.errors import UserError
from lsd_experiments.locks import is_held
from lsd_experiments.pipeline.plans import plan_stage
from lsd_experiments.pipeline.settings import AnyPipeline, PipelineSettings
from lsd_experiments.stages import Stage
from lsd_experiments.stages.states import State

WORDS = {"new": "new", "begun": "goes on", "done": "up to date", "stale": "made anew"}


@dataclass(frozen=True)
class Planned:
    """A stage of a run, None if it cannot be planned yet; and what there is of its outputs, or why not."""

    name: str
    stage: Stage | None
    state: State

    @property
    def bytes(self) -> int:
        """What will be written, without compression."""
        return self.stage.bytes if self.stage is not None and self.state.kind != "done" else 0

    def task(self, config: AnyPipeline) -> BlockTask | None:
        """What workers do, if they do this stage."""
        if self.stage is None or not isinstance(self.stage.work, BlockTask):
            return None
        return self.stage.task(config.workers.for_stage(self.name))


def plan_stages(config: AnyPipeline, names: Iterable[str], overwrite: bool = False) -> list[Planned]:
    """All stages ``names``, each as it will be after those before; nothing is written.

    :raises UserError: if one of them is not possible
    """
    before: dict[str, Stage] = {}
    stages = []
    for name in names:
        try:
            stage = plan_stage(name, config, before)
        except UserError as error:
            is_decided = isinstance(config, PipelineSettings) and config.extract.threshold == "best" and "evaluate" in before
            if name not in ("extract_segmentation", "export") or not is_decided:
                raise
            stages.append(Planned(name, None, State("new", f"its threshold is known after evaluate ({error})")))
            continue
        state = stage.state()
        if overwrite and state.kind != "new":
            state = State("stale", "--overwrite is given")
        before[name] = stage
        stages.append(Planned(name, stage, state))
    return stages


def describe_plan(config: AnyPipeline, stages: Sequence[Planned]) -> str:
    """The table of ``--dry-run``: what would be done and why, in how many blocks, on how much disk, with how much memory."""
    rows = [("stage", "", "blocks", "disk, at most", "workers", "memory of each")]
    reasons, needed = [], 0
    for stage in stages:
        blocks = workers = memory = "-"
        needed += stage.bytes
        task = stage.task(config)
        if task is not None:
            check_workers(task.workers)
            total = count_blocks(task.total, task.write_shape)
            blocks = str(total)
            workers = f"{min(total, count_workers(task.workers, task.cpus, task.memory))} {task.workers.kind}"
            memory = task.workers.memory or _bytes(task.memory or 0)
        rows.append((stage.name, WORDS[stage.state.kind], blocks, _bytes(stage.bytes) if stage.bytes else "-", workers, memory))
        if stage.state.reason and stage.state.kind != "done":
            reasons.append(f"{stage.name}: {stage.state.reason}")
    existing = next(path for path in (Path(config.out_file), *Path(config.out_file).parents) if path.exists())
    free = shutil.disk_usage(existing).free
    graph = ", and the region graph" if isinstance(config, PipelineSettings) else ""
    note = f"at most {_bytes(needed)} without compression{graph}; {_bytes(free)} are free at {existing}"
    return "\n".join([*_aligned(rows), *reasons, note])


def describe_status(config: AnyPipeline, stages: Sequence[Planned]) -> str:
    """The table of ``status.py``: how far each stage is, as far as that is on disk."""
    rows = [("stage", "", "done", "failed", "running", "rate", "left", "logs")]
    for stage in stages:
        word, done, failed, running, rate, left, logs = _word(stage.state), "-", "-", "-", "-", "-", "-"
        task = stage.task(config)
        if task is not None:
            total, said = count_blocks(task.total, task.write_shape), _progress(task.records)
            count = {"done": total, "begun": said.get("completed", 0)}.get(stage.state.kind, 0)
            done, failed = f"{count}/{total}", str(_count_failed(task.records)) if stage.state.kind == "begun" else "-"
            if is_held(task.records):
                word, running, (rate, left) = "running", str(said.get("running", "-")), _speed(said)
            logs = str(task.records / "logs") if (task.records / "logs").exists() else "-"
        rows.append((stage.name, word, done, failed, running, rate, left, logs))
    reasons = [f"{s.name}: {s.state.reason}" for s in stages if s.state.reason and s.state.kind in ("stale", "begun")]
    return "\n".join([*_aligned(rows), *reasons])


def _word(state: State) -> str:
    return {"new": "to do", "begun": "interrupted", "done": "done", "stale": "out of date"}[state.kind]


def _progress(records: Path) -> dict[str, Any]:
    """What the server of a run said last."""
    try:
        said: dict[str, Any] = json.loads((records / "progress.json").read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _count_failed(records: Path) -> int:
    return sum(1 for _ in (records / "failed").glob("*.txt"))


def _speed(said: dict[str, Any]) -> tuple[str, str]:
    """Blocks per second of this run, and the time that is left, in words."""
    try:
        begin, now = (datetime.datetime.fromisoformat(said[key]) for key in ("started", "updated"))
        rate = (said["completed"] - said["skipped"]) / max((now - begin).total_seconds(), 1e-3)
        left = datetime.timedelta(seconds=round((said["total"] - said["completed"]) / rate))
    except (KeyError, ValueError, ZeroDivisionError):
        return "-", "-"
    return f"{rate:.3g}/s", str(left)


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} PB"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
