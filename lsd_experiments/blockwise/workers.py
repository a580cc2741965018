"""Where workers run: the section ``[workers]`` of a configuration, see docs/clusters.md."""

import re
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from lsd_experiments.blockwise import machine
from lsd_experiments.errors import UserError
from lsd_experiments.listening import ALL, listen, stands_for
from lsd_experiments.settings import Settings

STAGES = ("predict", "extract_fragments", "agglomerate", "extract_segmentation", "threshold", "label_blocks",
          "extract_components", "export")
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
OURS = ("-J", "--job-name", "-a", "--array")  # options of sbatch and bsub by which a run finds its jobs again


def parse_memory(text: str) -> int:
    """Bytes of a text like ``8 GB``, ``500 MB`` or ``1.5 GiB``.

    :raises ValueError: if it is something else
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)", text.strip())
    size = int(float(match[1]) * UNITS[match[2]]) if match and match[2] in UNITS else 0
    if not size:
        raise ValueError(f"memory is a number and one of {', '.join(UNITS)}, like '8 GB'")
    return size


def _check_memory(text: str) -> str:
    parse_memory(text)
    return text


def _check_time(text: str) -> str:
    if not re.fullmatch(r"(\d+-)?\d+:[0-5]\d:[0-5]\d", text):
        raise ValueError("a time limit is H:MM:SS or D-HH:MM:SS, like '8:00:00' or '2-00:00:00'")
    return text


def _check_host(text: str) -> str:
    what = stands_for(text)
    if what:
        raise ValueError("host is the one address that workers connect to; this one stands for "
                         + ("all" if what == ALL else what))
    return text


def _check_options(options: tuple[str, ...]) -> tuple[str, ...]:
    for option in options:
        if option.split("=")[0] in OURS or (option.startswith("-J") and not option.startswith("--")):
            raise ValueError(f"{option} is set by this software, which finds its jobs by their name")
    return options


Count = Annotated[int, Field(ge=1)]
Memory = Annotated[str, AfterValidator(_check_memory)]
TimeLimit = Annotated[str, AfterValidator(_check_time)]
Options = Annotated[tuple[str, ...], AfterValidator(_check_options)]
Name = Annotated[str, Field(min_length=1)]
Host = Annotated[str, Field(min_length=1), AfterValidator(_check_host)]
Kind = Literal["local", "slurm", "lsf"]


class StageWorkers(Settings):
    """What ``[workers.<stage>]`` says; the keys are those of :class:`Workers`, None is not said."""

    kind: Kind | None = None
    num_workers: Count | None = None
    cpus: Count | None = None
    gpus: Annotated[int, Field(ge=0)] | None = None
    memory: Memory | None = None
    time_limit: TimeLimit | None = None
    queue: Name | None = None
    options: Options | None = None
    prefix: tuple[str, ...] | None = None
    image: Name | None = None
    binds: tuple[str, ...] | None = None
    host: Host | None = None
    max_retries: Annotated[int, Field(ge=0)] | None = None
    block_timeout: Annotated[float, Field(gt=0)] | None = None
    max_start_failures: Count | None = None


class Workers(StageWorkers):
    """Where the workers of a stage run, and what happens when they fail.

    :param kind: ``local`` processes of this machine, or jobs of ``slurm`` or ``lsf``
    :param num_workers: how many at a time (default, of local ones: as many as fit cores, memory and GPUs)
    :param cpus: of one worker (default: as many as the stage uses)
    :param gpus: of one worker
    :param memory: of one worker, like ``8 GB``
    :param time_limit: of one worker's job, ``H:MM:SS`` or ``D-HH:MM:SS``; a job that ends by it is replaced
    :param queue: the partition of Slurm, the queue of LSF
    :param options: more options for sbatch or bsub, as they are
    :param prefix: words before the worker's command, like ``["nice", "-n", "10"]``
    :param image: Apptainer image that the worker runs in
    :param binds: directories that it sees in there, as apptainer takes them: ``/path`` or ``/path:/path/inside``
    :param host: address of this machine that the scheduler listens on, and workers connect to
    :param max_retries: how often a block that failed is tried again
    :param block_timeout: seconds after which a block counts as stuck, and its worker is killed (default: never)
    :param max_start_failures: workers that may die one after the other without a block done in between
    """

    kind: Kind = "local"
    gpus: Annotated[int, Field(ge=0)] = 0
    options: Options = ()
    prefix: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    host: Host = "127.0.0.1"
    max_retries: Annotated[int, Field(ge=0)] = 2
    max_start_failures: Count = 3


class WorkersConfig(Workers):
    """The section ``[workers]``: keys for all stages, and tables of single stages with what is different there."""

    predict: StageWorkers = StageWorkers()
    extract_fragments: StageWorkers = StageWorkers()
    agglomerate: StageWorkers = StageWorkers()
    extract_segmentation: StageWorkers = StageWorkers()
    threshold: StageWorkers = StageWorkers()
    label_blocks: StageWorkers = StageWorkers()
    extract_components: StageWorkers = StageWorkers()
    export: StageWorkers = StageWorkers()

    def for_stage(self, stage: str) -> Workers:
        """The workers of ``stage``, one of ``STAGES``."""
        assert stage in STAGES, f"no stage {stage}"
        common: dict[str, Any] = {key: getattr(self, key) for key in Workers.model_fields}
        own = {key: value for key, value in getattr(self, stage) if value is not None}
        return Workers(**{**common, **own})


def count_workers(workers: Workers, default_cpus: int | None = 1, memory_estimate: int | None = None) -> int:
    """How many workers run at a time.

    Unless told, local ones are as many as fit the cores, the memory that is available now, and the GPUs; at least one.

    :param default_cpus: cores that a worker of the stage uses; None: all of the machine
    :param memory_estimate: bytes that it takes, if known
    :raises UserError: if they are jobs of a cluster, and their number is not given, or their cores are not and the stage uses
        all that it finds; or a worker's GPUs are not there
    """
    if workers.kind != "local" and workers.cpus is None and default_cpus is None:
        raise UserError(f"[workers]: kind = '{workers.kind}' needs cpus for this stage, the cores of one job: it uses all "
                        "that it gets")
    slots = len(machine.gpu_slots(workers.gpus)) if workers.kind == "local" and workers.gpus else None
    if workers.num_workers is not None:
        if slots is not None and workers.num_workers > slots:
            raise UserError(f"{workers.num_workers} workers with {workers.gpus} GPUs each, but this machine's GPUs are enough "
                            f"for {slots}. Set num_workers in [workers] to {slots}, or leave it out")
        return workers.num_workers
    if workers.kind != "local":
        raise UserError(f"[workers]: kind = '{workers.kind}' needs num_workers, the number of jobs at a time")
    memory = parse_memory(workers.memory) if workers.memory else memory_estimate
    fit = [machine.cores() // (workers.cpus or default_cpus or machine.cores())]
    fit += [machine.available_memory() // memory] if memory else []
    fit += [slots] if slots is not None else []
    return max(1, min(fit))


def container_program() -> str | None:
    """What runs images here."""
    return next(filter(shutil.which, ("apptainer", "singularity")), None)


def check_workers(workers: Workers) -> None:
    """Look for what workers need on this machine.

    :raises UserError: if an image or a program is missing, or ``host`` is no address, or none of this machine
    """
    listen(workers.host, key="[workers]: host").close()
    if workers.image and not Path(workers.image).exists():
        raise UserError(f"[workers]: image = {workers.image}: not there. Build it, see docs/clusters.md")
    if workers.prefix and shutil.which(workers.prefix[0]) is None:
        raise UserError(f"[workers]: prefix begins with {workers.prefix[0]}, which is no program on this machine's PATH")
    if workers.kind == "local" and workers.image and container_program() is None:
        raise UserError("[workers]: an image needs the program apptainer (or singularity), which is not on this machine's PATH")
    needed = {"local": None, "slurm": "sbatch", "lsf": "bsub"}[workers.kind]
    if needed and shutil.which(needed) is None:
        raise UserError(f"[workers]: kind = '{workers.kind}' needs the program {needed}, which is not on this machine's PATH")
