"""What has been done of a queue: ``queue.json`` in the directory of its outputs."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lsd_experiments import checkpoints
from lsd_experiments.errors import UserError
from lsd_experiments.trainings.reading import Job
from lsd_experiments.writing import put_json

FILE = "queue.json"
LOCK = ".queue.lock"


@dataclass
class Done:
    """Of one job: ``digest`` of what was done to its end, ``status`` of its last run, ``seconds`` of CPU time of all runs."""

    digest: str | None = None
    status: int | None = None
    seconds: float = 0.0


@dataclass
class State:
    """Of all jobs in ``out`` that have run, by name."""

    out: Path
    jobs: dict[str, Done] = field(default_factory=dict)

    @classmethod
    def read(cls, out: Path) -> "State":
        """That which is in ``out``; an empty one, if nothing is.

        :raises UserError: if the file is damaged
        """
        file = out / FILE
        if not file.is_file():
            return cls(out)
        try:
            return cls(out, {name: Done(**values) for name, values in json.loads(file.read_text()).items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{file}: not the record of a queue. Remove it: what is done is then found done again") from error

    def of(self, job: Job) -> Done:
        """What has been done of ``job``."""
        return self.jobs.get(job.name, Done())

    def is_done(self, job: Job) -> bool:
        """Whether all that it says has been done."""
        return self.of(job).digest == job.digest

    def ran(self, job: Job, status: int, seconds: float) -> None:
        """Note a run: its exit status, and the CPU seconds that it took."""
        before = self.of(job)
        digest = job.digest if status == 0 else before.digest
        self.jobs[job.name] = Done(digest, status, round(before.seconds + seconds, 1))
        put_json(self.out / FILE, {name: asdict(done) for name, done in self.jobs.items()})


def iteration_of(job: Job) -> int:
    """The iteration of the newest checkpoint in a job's directory; 0 without one, or with one that cannot be read."""
    try:
        found = checkpoints.find_checkpoint(job.directory)
    except UserError:
        return 0
    return found.iteration if found else 0
