"""The crops of a configuration, each a stage of blocks that workers predict from all patches that touch them."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lsd_experiments.arrays.alignments import carried
from lsd_experiments.blockwise import Block, BlockTask, Workers
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.prediction.crops import Place
from lsd_experiments.families.cellmap.prediction.outputs import ATTRIBUTE, check_kind, check_room, estimate, stored
from lsd_experiments.families.cellmap.prediction.patches import Plane, block_shape, crop_shape, open_raw, planes
from lsd_experiments.families.cellmap.split.finding import split_container
from lsd_experiments.families.pytc.inference.blockwise import NETWORK_MEMORY
from lsd_experiments.families.pytc.inference.sweeping import gather
from lsd_experiments.geometry import Box
from lsd_experiments.pipeline.running import run_planned
from lsd_experiments.prediction.loading import sha256
from lsd_experiments.stages import Stage, VolumeArtifact
from lsd_experiments.stages.inputs import describe_input
from lsd_experiments.stages.volumes import BASE_MEMORY, open_output

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.configuration import Settings

STAGE = "predict"
ROOM = 2**29  # bytes of a block's sums, at most
FEW = 1  # blocks that this process does by itself
OUTPUT = "data/predictions/{dataset}.zarr/{crop}"


@dataclass(frozen=True)
class Choices:
    """How crops are predicted. ``overlap``: share of a patch that the next one has, too; ``blending``: gaussian, bump or none."""

    output: str = OUTPUT
    values: str = "logits"
    dtype: str = "float16"
    overlap: float = 0.25
    blending: str = "bump"
    orthoplanes: bool = True
    allow_partial: bool = False

    def container(self, place: Place) -> tuple[str, str]:
        """The zarr of a crop's arrays, and the group in it.

        :raises UserError: if the path has no zarr in it
        """
        path = self.output.replace("{dataset}", place.dataset).replace("{crop}", place.name)
        return split_container(str(Path(path).absolute()))


def predict(settings: "Settings", places: Sequence[Place], choices: Choices, workers: Workers, overwrite: bool = False,
            force: bool = False, dry: bool = False) -> list[Path]:
    """Predict crops, from where an interrupted run of the same stopped; the directories of the crops.

    :param force: also if the disk has no room for it
    :param dry: say what would be written, and end
    :raises UserError: if weights, raw or sizes do not fit, or an output is somebody else's
    :raises BlocksFailedError: if blocks failed
    """
    check_kind(choices.values, choices.dtype)
    _check_apart(places, choices)
    stages = [crop_stage(settings, place, choices) for place in places]
    left = [stage for stage in stages if overwrite or stage.state().kind != "done"]
    if left:
        said = check_room(estimate(left), Path(choices.container(places[0])[0]), force or dry)
        print(f"{len(left)} of {len(stages)} crops, {sum(len(stage.outputs) for stage in left)} arrays: {said}", file=sys.stderr)
    for place in [] if dry else places:
        container, _ = choices.container(place)
        run_planned(partial(crop_stage, settings, place, choices), lambda: workers, container, {container}, overwrite, few=FEW)
    return [Path(*choices.container(place)) for place in places]


def crop_stage(settings: "Settings", place: Place, choices: Choices) -> Stage:
    """A crop, of which each class is an array."""
    from lsd_experiments.families.cellmap.prediction.model import Model
    from lsd_experiments.families.cellmap.training.training import chosen

    raw = open_raw(settings, place)
    shape = crop_shape(settings, place)
    made = planes(settings, raw, shape, choices.overlap, choices.blending, choices.orthoplanes)
    path = chosen(settings)
    model = Model.read(settings, path, choices.allow_partial)
    channels, each = len(place.classes) * model.channels, model.channels
    write_shape = block_shape(made, channels, ROOM)
    container, group = choices.container(place)
    scale = settings.target_array_info["scale"]
    leading = None if each == 1 else each
    outputs = tuple(VolumeArtifact(container, f"{group}/{label}".lstrip("/"), shape, scale, place.begin, choices.dtype,
                                   write_shape, leading, {ATTRIBUTE: choices.values}) for label in place.classes)
    task_settings = {"config": str(settings.path), "place": asdict(place), "choices": asdict(choices), "checkpoint": str(path)}
    task = BlockTask(STAGE, Box.of_shape(shape), write_shape, f"{__name__}:make_worker", task_settings, outputs[0].records,
                     cpus=None, memory=BASE_MEMORY + NETWORK_MEMORY + 12 * channels * int(np.prod(write_shape)))
    counting = {"input": dict(settings.input_array_info), "target": dict(settings.target_array_info), "classes": settings.classes,
                "model_name": settings.model_name, "model_kwargs": repr(settings.model_kwargs),
                "preprocessing": model.preprocessing.description, "place": asdict(place), **asdict(choices)}
    parameters = json.loads(json.dumps({name: value for name, value in counting.items() if name != "output"}))
    inputs = {"raw": describe_input(raw.image.volume), "sha256_of_checkpoint": sha256(path)}
    return Stage(STAGE, parameters, inputs, outputs, task, carried(raw.image.volume))


def make_worker(settings: dict[str, Any]) -> Callable[[Block], None]:
    """What predicts one block; see :func:`crop_stage`."""
    from lsd_experiments.families.cellmap.configuration import read
    from lsd_experiments.families.cellmap.prediction.model import Model

    config = read(Path(settings["config"]))
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in settings["place"].items()}
    place, choices = Place(**given), Choices(**settings["choices"])
    raw, model = open_raw(config, place), Model.read(config, Path(settings["checkpoint"]), choices.allow_partial)
    shape = crop_shape(config, place)
    made = planes(config, raw, shape, choices.overlap, choices.blending, choices.orthoplanes)
    container, group = choices.container(place)
    volumes = [open_output(container, f"{group}/{label}".lstrip("/")) for label in place.classes]

    def process(block: Block) -> None:
        box = block.write.intersect(Box.of_shape(shape))
        logits = gathered(model, made, place.classes, box)
        if np.isnan(logits).any():
            raise UserError(f"{settings['checkpoint']}: gives NaN in {place.name}. Predict with another epoch, or correct model")
        for number, (volume, note) in enumerate(volumes):
            part = logits[number * model.channels:(number + 1) * model.channels]
            volume.write(box, stored(part if volume.channels else part[0], choices.values, choices.dtype))
            note(box)

    return process


def gathered(model: Any, made: Sequence[Plane], classes: Sequence[str], box: Box) -> Any:
    """The logits [c, z, y, x] of ``classes`` in ``box``, the mean of all orientations."""
    each = model.channels
    wanted = [model.settings.classes.index(label) * each + number for label in classes for number in range(each)]
    total: Any = 0
    for plane in made:
        def predict(raws: list[Any], plane: Plane = plane) -> list[Any]:
            return [{"logits": values[wanted]} for values in model.logits(raws, plane.flat)]

        total = total + gather(plane.patches, predict, box.shift(plane.patches.kept.begin), model.settings.batch_size)["logits"]
    return total / np.float32(len(made))


def _check_apart(places: Sequence[Place], choices: Choices) -> None:
    """:raises UserError: if two crops would be written to one place"""
    seen: dict[tuple[str, str], Place] = {}
    for place in places:
        at = choices.container(place)
        if at in seen:
            raise UserError(f"--output-path: {choices.output} is one place for {seen[at].dataset}/{seen[at].name} and "
                            f"{place.dataset}/{place.name}. Write {{dataset}} and {{crop}} in it")
        seen[at] = place
