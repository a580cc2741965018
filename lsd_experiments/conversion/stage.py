"""The stage that writes what a pipeline made in another format.

    <directory>/segmentation.precomputed        appears when it is whole
    <directory>/.blockwise/segmentation.precomputed.json    what made it, and which files it had then
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.arrays.precomputed_writing import scale_key
from lsd_experiments.blockwise import BlockTask, Workers, check_workers, count_blocks, run_blockwise
from lsd_experiments.conversion import making
from lsd_experiments.conversion.formats import layout_of, record
from lsd_experiments.conversion.layouts import Layout
from lsd_experiments.conversion.places import target_of
from lsd_experiments.conversion.settings import SUFFIXES, ExportSettings, file_stem
from lsd_experiments.conversion.view import View
from lsd_experiments.conversion.writing import block_shape, write_directory, write_file
from lsd_experiments.errors import UserError
from lsd_experiments.provenance import now
from lsd_experiments.stages import Show, Stage
from lsd_experiments.stages.files import file_state, read_json, same_file, write_json
from lsd_experiments.stages.inputs import check_finished, describe_input
from lsd_experiments.stages.states import FOREIGN, State, state_of

STAGE = "export"
HERE = 8  # blocks of a level, up to which workers are not worth their start


@dataclass(frozen=True)
class Source:
    """A volume to export, called ``name``; ``kind``: labels or raw, None: as it looks; ``maker``: the stage that made it."""

    name: str
    volume: Volume
    kind: str | None
    maker: str | None


@dataclass(frozen=True)
class ExportArtifact:
    """One exported volume. ``layout``: None of a file."""

    directory: Path
    name: str
    dataset: str | None
    layout: Layout | None
    bytes: int

    @property
    def container(self) -> Path:
        """The directory, or file."""
        return self.directory / self.name

    @property
    def about(self) -> Path:
        """What says what made it."""
        return self.directory / ".blockwise" / f"{self.name}.json"

    def stored(self) -> dict[str, Any]:
        """What made it."""
        return read_json(self.about) if self.about.exists() else {}

    def state(self, made: Mapping[str, Any]) -> State:
        """What there is of it.

        :raises UserError: if something else is there
        """
        if not self.about.exists():
            if self.container.exists():
                raise UserError(f"{self.container} exists, and no {self.about.name} says what made it. {FOREIGN}")
            return State("new")
        said = self.stored()
        state = state_of(str(self.container), said, "finished" in said, made)
        if state.kind == "done" and not self.is_whole(said):
            return State("begun", f"{self.container}: its files are gone, or not as they were written")
        return state

    def prepare(self, made: dict[str, Any], anew: bool) -> None:
        """Note what it is to be; what is there stays until that is whole."""
        said = self.stored()
        keeps = not anew and "files" in said and self.is_whole(said)
        write_json(self.about, {**made, **({"files": said["files"]} if keeps else {})})

    def missing_blocks(self, done: NDArray[np.int64]) -> dict[str, list[int]]:
        """None: they are looked for when it is finished."""
        return {}

    def note_written(self) -> None:
        """Note which files it has."""
        write_json(self.about, {**self.stored(), "files": self._files()})

    def finish(self) -> None:
        """Note that all is done."""
        write_json(self.about, {**self.stored(), "finished": now()})

    def report(self) -> str:
        """Where it is."""
        return str(self.container)

    def is_whole(self, said: Mapping[str, Any]) -> bool:
        """Whether the files are those of which ``said`` tells. Others may be beside the levels: meshes of other programs."""
        if not self.container.exists() or "files" not in said:
            return False
        if self.layout is None:
            return same_file(self.container, said["files"])
        return bool(self._files() == said["files"])

    def _files(self) -> Any:
        """Of a file its checksum, size and time; of a directory, files and bytes of each level."""
        if self.layout is None:
            return file_state(self.container)
        target = target_of(str(self.container), self.dataset)
        keys = {"precomputed": scale_key, "ome-zarr": lambda level: f"s{level}"}
        name: Callable[[Any], str] = keys.get(self.layout.kind, lambda level: "")
        levels = self.layout.levels if self.layout.kind == "precomputed" else range(len(self.layout.levels))
        found = []
        for level in levels:
            sizes = [path.stat().st_size for path in (target / name(level)).rglob("*")
                     if path.is_file() and ".blockwise" not in path.parts[len(target.parts):]]
            found.append([len(sizes), sum(sizes)])
        return found


def export_stage(sources: Sequence[Source], directory: Path, settings: ExportSettings, workers: Workers) -> Stage:
    """The ``sources`` in the format of ``settings``, in ``directory``.

    :raises UserError: if that format does not hold one of them
    """
    outputs = tuple(_artifact(source, directory, settings) for source in sources)
    described = {source.name: record(output.layout) if output.layout else {}
                 for source, output in zip(sources, outputs, strict=True)}

    def check() -> None:
        check_workers(workers)
        for source in sources:
            if source.maker is not None:
                check_finished(source.volume, source.maker)

    def work(made: dict[str, Any], anew: bool, show: Show) -> None:
        views = [View(open_volume(*source.volume.place)) for source in sources]
        shown = _Shown(show, sum(map(_count_blocks, views, outputs)))
        for view, output in zip(views, outputs, strict=True):
            if output.is_whole(output.stored()):
                shown.skip(_count_blocks(view, output))
                continue
            _write(view, output, made, workers, shown)
            output.note_written()

    parameters = {"format": settings.format, "volumes": described}
    inputs = {source.name: describe_input(source.volume) for source in sources}
    return Stage(STAGE, parameters, inputs, outputs, work, check=check)


def _artifact(source: Source, directory: Path, settings: ExportSettings) -> ExportArtifact:
    volume, name = source.volume, f"{file_stem(source.name)}{SUFFIXES[settings.format]}"
    size = volume.dtype.itemsize * (volume.channels or 1)
    if settings.is_file:
        if settings.format == "tiff" and volume.channels is not None:
            raise UserError(f"[export] {source.name} has {volume.channels} channels; a TIFF stack is [z, y, x]. Take another "
                            "format")
        dataset = None if settings.format == "tiff" else f"volumes/{file_stem(source.name)}"
        return ExportArtifact(directory, name, dataset, None, size * math.prod(volume.shape))
    scaled = settings.format in ("precomputed", "ome-zarr")
    options = replace(settings.options, kind=source.kind if scaled else None)
    layout = layout_of(View(volume), settings.format, options)
    dataset = None if scaled else f"volumes/{file_stem(source.name)}"
    return ExportArtifact(directory, name, dataset, layout, size * sum(math.prod(level.shape) for level in layout.levels))


def _write(view: View, output: ExportArtifact, made: dict[str, Any], workers: Workers, shown: "_Shown") -> None:
    container, dataset = str(output.container), output.dataset
    if output.layout is None:
        output.directory.mkdir(parents=True, exist_ok=True)
        write_file(view, container, dataset, made, True, lambda voxels: None)
        return shown.skip(1)

    def work(task: BlockTask, process: Callable[[], making.Process]) -> None:
        if making.count_left(task) > HERE:
            run_blockwise(replace(task, name=STAGE, workers=workers), shown.part)
            shown.skip(count_blocks(task.total, task.write_shape))
        else:
            making.work_here(task, process(), lambda box, was_done: shown.skip(1))

    write_directory(view, output.layout, container, dataset, made, work, overwrite=True)


def _count_blocks(view: View, output: ExportArtifact) -> int:
    layout = output.layout
    if layout is None:
        return 1
    shapes = [block_shape(view, layout.units(0)), *(making.coarse_shape(layout, n) for n in range(1, len(layout.levels)))]
    return sum(count_blocks(level.box, shape) for level, shape in zip(layout.levels, shapes, strict=True))


class _Shown:
    """How far all of it is, in blocks."""

    def __init__(self, show: Show, total: int) -> None:
        self.show, self.total, self.done = show, total, 0
        self._tell(0)

    def skip(self, blocks: int) -> None:
        """So many more are done."""
        self.done += blocks
        self._tell(0)

    def part(self, state: Mapping[str, Any]) -> None:
        """What a run says of its own blocks."""
        self._tell(state["completed"], state)

    def _tell(self, more: int, state: Mapping[str, Any] | None = None) -> None:
        self.show({**(state or {"failed": 0}), "total": self.total, "completed": self.done + more, "skipped": 0})
