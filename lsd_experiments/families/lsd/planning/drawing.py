"""The picture of a plan: raw and labels, and a training sample with its targets."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments import frameworks
from lsd_experiments.arrays import Volume, read_ids
from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.families.lsd import isotropic, serial_sections
from lsd_experiments.families.lsd.planning import texts
from lsd_experiments.families.lsd.planning.design import Plan
from lsd_experiments.families.lsd.planning.survey import Survey
from lsd_experiments.geometry import Box
from lsd_experiments.picture.colours import colours_of
from lsd_experiments.picture.figure import draw
from lsd_experiments.picture.panels import Panel, panels
from lsd_experiments.targets import Affinities, LocalShapeDescriptors

if TYPE_CHECKING:
    import gunpowder as gp

    from lsd_experiments.training.experiment import Experiment

WINDOW = 1024  # voxels along y and x that are drawn of a large section
SEED = 0


def draw_plan(plan: Plan, survey: Survey, directory: Path, path: Path) -> None:
    """Draw the middle section of raw and labels, and one sample of ``mtlsd``, of the volume in ``directory``, to ``path``."""
    sample = survey.sample
    box = _middle(sample.labels)
    raw = sample.raw.read(box.shift(sample.shift))
    labels = read_ids(sample.labels, box)
    images = [*panels(raw=_scaled(raw, survey)), Panel("labels", colours_of(labels[0]))]
    images += [Panel(f"sample: {panel.title}", panel.image) for panel in _sample(plan, survey, directory)]
    title = f"{plan.name}: a section of raw and labels; a training sample, varied, with its targets"
    draw(images, path, title, plan.voxel_size)


def _middle(labels: Volume) -> Box:
    """The middle section, or the middle of it, where there is an object, or the one that has most of the first few looked at."""
    shape = (1, *(min(WINDOW, size) for size in labels.shape[1:]))
    numbers = dict.fromkeys(int(labels.shape[0] * share) for share in (0.5, 0.25, 0.75, 0.4, 0.6))
    boxes = [Box.of_shape(shape, (z, *((n - s) // 2 for n, s in zip(labels.shape[1:], shape[1:], strict=True)))) for z in numbers]
    return max(boxes, key=lambda box: bool(labels.read(box).any()))


def _scaled(raw: NDArray[Any], survey: Survey) -> NDArray[np.uint8]:
    low, high = survey.raw.percentiles[0], survey.raw.percentiles[-1]
    return np.round(np.clip((raw.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8)


def _sample(plan: Plan, survey: Survey, directory: Path) -> list[Panel]:
    """What training sees: raw of the output's place, labels whose boundaries are grown, and the targets of both heads."""
    frameworks.import_gunpowder()
    import gunpowder as gp

    from lsd_experiments.training.keys import LABELS, RAW, head_keys
    from lsd_experiments.training.padding import label_padding
    from lsd_experiments.training.pipeline import batch_pipeline, batch_request
    from lsd_experiments.training.places import find_places
    from lsd_experiments.training.ranges import scaled_samples

    experiment, dataset = experiment_of(plan), load_dataset(directory)
    output_shape = plan.network.output_shape(plan.sized.training)
    padding = label_padding(experiment, dataset.voxel_size, output_shape)
    try:
        places = find_places(survey.sample, output_shape, padding, 1.0)  # all of it labelled, where that can be had
    except UserError:
        places = find_places(survey.sample, output_shape, padding, experiment.min_masked)
    scaled, _, _ = scaled_samples([survey.sample], plan.raw_range, None, None)
    pipeline = batch_pipeline(experiment, dataset, [(scaled[0], places)], 1)
    request = batch_request(experiment, dataset, plan.sized.training, output_shape)
    request._random_seed = SEED
    with gp.build(pipeline):
        batch = pipeline.request_batch(request)
    roi = batch[LABELS].spec.roi
    raw = np.clip((batch[RAW].crop(roi.intersect(batch[RAW].spec.roi)).data[0] + 1) / 2, 0, 1)
    found = panels(raw=np.round(raw * 255).astype(np.uint8), affs=batch[head_keys("affs").target].data[0].astype(np.float32),
                   lsds=batch[head_keys("lsds").target].data[0])
    grown = batch[LABELS].data[0]
    return [found[0], Panel("labels, boundaries grown", colours_of(grown[len(grown) // 2])), *found[1:]]


def experiment_of(plan: Plan) -> "Experiment":
    """``mtlsd`` as its ``train.py`` declares it."""
    from lsd_experiments.training.experiment import Experiment

    known: dict[str, Callable[..., gp.BatchFilter]] = {"serial_sections": serial_sections, "isotropic": isotropic}
    return Experiment(
        dataset="../dataset.toml", network="train_net.json",
        targets=(LocalShapeDescriptors(sigma=plan.sigma, counted="labels_mask"), Affinities(masked=True)),
        sampling=partial(known[texts.nodes(plan)], **texts.sampling_options(plan)), boundary_axes=plan.boundary_axes)  # fmt: skip
