"""A queue as a TOML file: jobs, each a list of commands in a directory, with ``$names`` that stand for values.

``$out`` is the directory of the queue's outputs, ``$root`` that of the repository. Others are of ``each``, for which there is one
job for each combination, the last one varying fastest; of ``values``; and of the top level's ``[values]``. Values may contain
names, too. An argument that is nothing but the name of a list stands for the list's elements.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import Template
from typing import Annotated, Any

from pydantic import Field

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.installation import ROOT
from lsd_experiments.settings import Settings, parse_settings, read_values

Value = str | int | float | list[str]
Name = Annotated[str, Field(min_length=1)]


class SetupSettings(Settings):
    """The directory of an experiment of its own: a copy of ``like`` (``zebrafinch/mtlsd``), with other values in it.

    :param network: fields of mknet.py's network that are to be others
    :param train_net: input shape (z, y, x) in voxels for training (default: mknet.py's)
    :param config: the same for prediction
    :param dataset: keys of dataset.toml that are to be others
    """

    like: str
    network: dict[str, Any] = Field(default_factory=dict)
    train_net: tuple[int, int, int] | None = None
    config: tuple[int, int, int] | None = None
    dataset: dict[str, Any] = Field(default_factory=dict)


class FileSettings(Settings):
    """A file that is written into the job's directory before its commands; ``values``: as those of a job, for it alone."""

    name: Name
    text: str
    values: dict[str, Value] = Field(default_factory=dict)


class JobSettings(Settings):
    """:param template: the name of one of ``[templates]``, whose keys this job has, unless it has its own
    :param name: unique; also that of its log
    :param needs: names of jobs that must have ended well
    :param directory: where the commands run, seen from the directory of outputs
    :param steps: commands: a Python script, seen from the job's directory, and its arguments
    """  # fmt: skip

    template: str | None = None
    name: Name
    each: dict[str, list[Value]] = Field(default_factory=dict)
    values: dict[str, Value] = Field(default_factory=dict)
    needs: list[Name] = Field(default_factory=list)
    directory: str = "."
    setup: SetupSettings | None = None
    files: list[FileSettings] = Field(default_factory=list)
    steps: Annotated[list[Annotated[list[str], Field(min_length=1)]], Field(min_length=1)]


class QueueSettings(Settings):
    """:param nice: added to the niceness of all jobs
    :param threads: that each process computes with
    :param parallel: jobs at a time
    """  # fmt: skip

    nice: Annotated[int, Field(ge=0, le=19)] = 10
    threads: Annotated[int, Field(ge=1)] = 1
    parallel: Annotated[int, Field(ge=1)] = 1
    values: dict[str, Value] = Field(default_factory=dict)
    templates: dict[str, dict[str, Any]] = Field(default_factory=dict)
    job: Annotated[list[dict[str, Any]], Field(min_length=1)]


@dataclass(frozen=True)
class Job:
    """One job, all names replaced. ``directory`` is absolute; ``files``: texts by their names."""

    name: str
    needs: tuple[str, ...]
    directory: str
    setup: dict[str, Any] | None
    files: dict[str, str]
    steps: tuple[tuple[str, ...], ...]
    out: str

    @property
    def digest(self) -> str:
        """Of all that the job does, wherever its outputs and the repository are: another one is not done because this one was."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        for place, name in ((self.out, "$out"), (str(ROOT), "$root")):  # not of a path that only begins alike
            text = re.sub(re.escape(place) + r"(?![\w.-])", name, text)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def iterations(self) -> int | None:
        """Until which its first train.py trains, if it has one."""
        return next((int(step[1]) for step in self.steps
                     if Path(step[0]).name == "train.py" and len(step) > 1 and step[1].isdigit()), None)


def read_queue(path: Path, out: Path) -> tuple[QueueSettings, list[Job]]:
    """The queue in the file ``path`` and its jobs in the file's order, with outputs in ``out``.

    :raises UserError: if it is none: an unknown key or name, two jobs of one name, a need that no job before has
    """
    queue = parse_settings(read_values(path), QueueSettings, source=str(path))
    jobs = [job for number, values in enumerate(queue.job, start=1) for job in _jobs(path, queue, values, number, out)]
    known: set[str] = set()
    for job in jobs:
        if job.name in known:
            raise UserError(f"{path}: two jobs are called '{job.name}'. Put what differs into the name, like $seed")
        for need in job.needs:
            if need not in known:
                raise UserError(f"{path}: '{job.name}' needs '{need}', which no job before it is called{nearest(need, known)}")
        known.add(job.name)
    return queue, jobs


def _jobs(path: Path, queue: QueueSettings, values: dict[str, Any], number: int, out: Path) -> Iterator[Job]:
    template = values.get("template")
    if template is not None and not (isinstance(template, str) and template in queue.templates):
        raise UserError(f"{path}: job {number} has the template {template!r}, which [templates] lacks"
                        f"{nearest(str(template), queue.templates)}")
    merged = _with_template(values, queue.templates[template]) if template is not None else values
    settings = parse_settings(merged, JobSettings, source=f"{path}, job {number}")
    for combination in itertools.product(*settings.each.values()):
        names = _Names(f"{path}, job {number}", {"out": str(out), "root": str(ROOT)})
        names = names.with_values(queue.values).with_values(dict(zip(settings.each, combination, strict=True)))
        yield _job(settings, names.with_values(settings.values), out)


def _with_template(values: dict[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """A job with what it has not of its template; what names stand for, name by name."""
    merged = {**template, **values}
    both = [part["values"] for part in (template, values) if isinstance(part.get("values"), dict)]
    return {**merged, "values": both[0] | both[1]} if len(both) == 2 else merged


def _job(settings: JobSettings, names: "_Names", out: Path) -> Job:
    files = {}
    for file in settings.files:
        own = names.with_values(file.values)
        files[own.text(file.name)] = own.text(file.text)
    setup = None if settings.setup is None else names.all_of(settings.setup.model_dump(mode="json"))
    return Job(names.text(settings.name), tuple(map(names.text, settings.needs)),
               str((out / names.text(settings.directory)).resolve()), setup, files, tuple(map(names.arguments, settings.steps)),
               str(out))


@dataclass(frozen=True)
class _Names(Mapping[str, Value]):
    """What names stand for, in which names may stand again. ``within``: those that are being replaced."""

    source: str
    known: dict[str, Value]
    within: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Value:
        value = self.known[name]
        if isinstance(value, list):
            raise UserError(f"{self.source}: ${name} is a list, which can only be an argument of its own. "
                            "Put it into 'steps', or into a list there")
        return self._inside(name).text(value) if isinstance(value, str) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)

    def with_values(self, more: Mapping[str, Value]) -> "_Names":
        return replace(self, known=self.known | dict(more))

    def text(self, text: str) -> str:
        try:
            return Template(text).substitute(self)
        except KeyError as error:
            name = error.args[0]
            raise UserError(f"{self.source}: ${name} stands for nothing{nearest(name, self.known)}") from error
        except ValueError as error:
            raise UserError(f"{self.source}: {text!r} has a $ that no name follows. Write $$ for one") from error

    def arguments(self, step: list[str]) -> tuple[str, ...]:
        """``step`` with all names replaced; lists' elements take the place of their names."""
        found: list[str] = []
        for argument in step:
            alone = re.fullmatch(r"\$(\w+)", argument)
            value = self.known.get(alone[1]) if alone else None
            found += self._inside(alone[1]).arguments(value) if alone and isinstance(value, list) else [self.text(argument)]
        return tuple(found)

    def _inside(self, name: str) -> "_Names":
        """These, for what ``name`` stands for."""
        if name in self.within:
            circle = self.within[self.within.index(name):]
            raise UserError(f"{self.source}: ${name} stands for itself, by {' and '.join(f'${n}' for n in circle)}")
        return replace(self, within=(*self.within, name))

    def all_of(self, value: Any) -> Any:
        """``value`` with all texts in it replaced."""
        if isinstance(value, dict):
            return {key: self.all_of(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.all_of(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value
