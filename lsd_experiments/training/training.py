"""A training: the pipeline, and the loop that goes on until an iteration and saves.

:func:`lsd_experiments.training.preparing.prepare` has looked at all that could be wrong. SIGTERM and Ctrl-C end it after the
step that it is at, with a checkpoint.
"""

import logging
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments import frameworks
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.datasets import Dataset
from lsd_experiments.intensity import NOTE
from lsd_experiments.networks.network import Network, Shape
from lsd_experiments.prediction.autocontext import LSDS, lsds_record, raw_shape
from lsd_experiments.prediction.loading import TrainedNetwork
from lsd_experiments.provenance import provenance
from lsd_experiments.targets import Loss
from lsd_experiments.training.data import Sample
from lsd_experiments.training.experiment import Experiment
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.places import Places
from lsd_experiments.training.stopping import NotFinite, stop_requests
from lsd_experiments.training.validating import Validating

if TYPE_CHECKING:
    import gunpowder as gp

    from lsd_experiments.networks.protocols import Model
    from lsd_experiments.training.nodes import TrainingStep
    from lsd_experiments.training.trainable import TrainableModel

logger = logging.getLogger(__name__)

AHEAD = 4  # batches that each worker keeps: 40 of 10 workers, as published


@dataclass
class Training:
    """A training in ``directory``, from ``checkpoint`` on; nothing is written before :meth:`run`.

    ``first``: the frozen first network, in auto-context. ``raw_range``: how raw becomes [0, 1], for the checkpoints.
    ``kept``: the samples of validation, if it is asked for.
    """

    experiment: Experiment
    dataset: Dataset
    network: Network
    input_shape: Shape
    options: TrainingOptions
    directory: Path
    samples: list[tuple[Sample, Places]]
    checkpoint: Checkpoint | None = None
    first: TrainedNetwork | None = None
    raw_range: Mapping[str, Any] | None = None
    kept: list[Sample] = field(default_factory=list)
    step: "TrainingStep" = field(init=False)
    _made_first: "Model | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        frameworks.import_gunpowder()
        from lsd_experiments.training.nodes import TrainingStep
        from lsd_experiments.training.pipeline import batch_request
        from lsd_experiments.training.tensorboard import Log

        self.network = self.experiment.noted_in(self.network)
        self.start = self.checkpoint.iteration if self.checkpoint else 0
        self.seed = _seed(self.options.seed, self.checkpoint)
        self.log_dir = Path(self.options.log_dir or self.directory / "log")
        self.log = Log(self.log_dir)
        self.raw_shape = raw_shape(self.first.network, self.input_shape) if self.first else None
        self.request = batch_request(
            self.experiment, self.dataset, self.input_shape, self.network.output_shape(self.input_shape), self.raw_shape
        )
        schedule = self.options.schedule
        self.step = TrainingStep(self.experiment, self._start_model, self.start, schedule if schedule.varies else None)
        self.validating = self._validating() if self.options.validate_every else None
        self.began = time.monotonic()
        data = [sample.raw.container for sample, _ in self.samples]
        parameters = self.options.record() | {"parity": self.experiment.parity}
        self.made_by = provenance("train", parameters, {"dataset": self.dataset.name, "data": data})

    def _validating(self) -> "Validating":
        from lsd_experiments.training.validation import Validation

        assert self.options.validate_every, "nobody asks for validation"
        validation = Validation(
            self.experiment, self.dataset, self.kept, self.request, self.network.output_shape(self.input_shape),
            self.options.validate_segmentation, self._first_node if self.first else None)  # fmt: skip
        record = self.checkpoint.record if self.checkpoint else {}
        return Validating(validation, self.directory, self.options.validate_every, self.start, record)

    def _first_model(self) -> "Model":
        assert self.first is not None, "no auto-context"
        assert self.raw_shape is not None, "no auto-context"
        if self._made_first is None:
            self._made_first = self.first.model(self.raw_shape, self.options.precision)
        return self._made_first

    def _first_node(self) -> "gp.BatchFilter":
        from lsd_experiments.training.autocontext import PredictFirst

        assert self.first is not None, "no auto-context"
        return PredictFirst(self.first.network, self._first_model)

    def pipeline(self) -> "gp.Pipeline":
        """From samples to snapshots."""
        import gunpowder as gp

        from lsd_experiments.training.keys import RAW, head_keys, snapshot_names
        from lsd_experiments.training.nodes import Snapshot
        from lsd_experiments.training.pipeline import batch_pipeline
        from lsd_experiments.training.precache import PreCache

        experiment, options = self.experiment, self.options
        only_shown = {
            key: self.request[keys.target].roi
            for keys in (head_keys(target.name) for target in experiment.targets)
            for key in (keys.prediction, keys.gradient)
        }
        pipeline = batch_pipeline(experiment, self.dataset, self.samples, options.batch_size)
        pipeline += PreCache(self.seed, first=self.start, num_workers=options.num_workers, ahead=AHEAD)
        if self.first:
            pipeline += self._first_node()
        pipeline += self.step
        # Back to [0, 1], as snapshots show raw.
        pipeline += gp.IntensityScaleShift(RAW, 0.5, 0.5)
        return pipeline + Snapshot(
            snapshot_names(self.network.heads, experiment.targets, malis=experiment.malis_from is not None),
            only_shown,
            self.directory / "snapshots",
            options.snapshot_every,
            self.start,
            self.dataset.voxel_size,
            self.made_by,
            self.log.images,
        )

    def run(self) -> int:
        """Train until ``options.iterations``, or a request to stop; returns the exit status."""
        from tqdm import tqdm

        last = self.options.iterations
        logger.info("%s: training begins after iteration %d, until %d, seed %d", self.directory, self.start, last, self.seed)
        self.began = time.monotonic()
        whole = None if self.options.minutes else last  # iterations that the clock lets it come to are not known
        bar = tqdm(total=whole, initial=self.start, unit="it", desc="training", smoothing=0.05)
        try:
            with stop_requests() as stop_requested:
                with built(self.pipeline()) as pipeline, bar:
                    iteration = self._iterate(pipeline, stop_requested, bar)
                logger.info("%s: training ends at iteration %d", self.directory, iteration)
                if iteration == last:
                    return 0
                stopped = stop_requested()
                after = "" if stopped else f", after {self.options.minutes:g} minutes"
                print(f"stopped at iteration {iteration}{after}: saved; run the same command to go on", file=sys.stderr)
                return 128 + stopped if stopped else 0
        except NotFinite as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            self.log.close()

    def _iterate(self, pipeline: "gp.Pipeline", stop_requested: Callable[[], int], bar: Any) -> int:
        """Train until the last iteration, the end of the time, or a request to stop; returns the iteration reached, and saved."""
        from lsd_experiments.training.precache import WorkersDied

        last, every = self.options.iterations, self.options.save_every
        for iteration in range(self.start + 1, last + 1):
            try:
                loss = self.one(pipeline, iteration)
            except WorkersDied:
                time.sleep(1)  # the signal that ended them may be on its way to this process, too
                if not stop_requested():
                    raise
                self.save(iteration - 1)
                return iteration - 1
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update()
            is_last = iteration == last or self._is_time_up()
            if self.validating and (is_last or iteration % self.validating.every == 0):
                self.validate(self.validating, iteration)
            if is_last or iteration % every == 0 or stop_requested():
                self.save(iteration)
            if is_last or stop_requested():
                return iteration
        return last

    def one(self, pipeline: "gp.Pipeline", iteration: int) -> float:
        """One iteration; returns its loss.

        :raises NotFinite: if the loss is not finite; the snapshot of its batch has been written.
        """
        from lsd_experiments.training.pipeline import reduced_to_cause

        with reduced_to_cause():
            pipeline.request_batch(self.request)
        logs = self.step.logs
        self.log.scalars(iteration, logs)
        if not -float("inf") < logs["loss"] < float("inf"):
            raise NotFinite(
                f"the loss of iteration {iteration} is {logs['loss']}: training stopped, no checkpoint of it was saved. Its "
                f"batch is {self.directory / 'snapshots' / f'batch_{iteration}.hdf'}. Look at it, or lower --learning-rate"
            )
        return logs["loss"]

    def _is_time_up(self) -> bool:
        minutes = self.options.minutes
        return minutes is not None and time.monotonic() - self.began >= 60 * minutes

    def validate(self, validating: "Validating", iteration: int) -> None:
        """Validate, and keep the checkpoint if it is the best so far."""
        assert self.step.model is not None, "validation before the first step"
        with self.step.model.averaged():
            scores, is_best = validating.validate(iteration, self.step.model, self.step.losses)
        self.log.scalars(iteration, {f"validation/{name}": value for name, value in scores.items()})
        if is_best:
            self.save(iteration, best=True)

    def save(self, iteration: int, best: bool = False) -> None:
        """Write the checkpoint of ``iteration``, or the ``best`` one; before the first one of this run there is none to write.

        :raises NotFinite: if a weight is not finite.
        """
        model = self.step.model
        if model is None:
            return
        if not model.is_finite():
            raise NotFinite(
                f"the weights after iteration {iteration} are not all finite: training stopped, no checkpoint of them was "
                "saved. Lower --learning-rate"
            )
        record = {
            "seed": self.seed,
            "input_shape": list(self.input_shape),
            "voxel_size": list(self.dataset.voxel_size),
            "provenance": self.made_by,
            **({NOTE: self.raw_range} if self.raw_range else {}),
            **({LSDS: lsds_record(self.first)} if self.first else {}),
            **(self.validating.record if self.validating else {}),
        }
        logger.info("saved %s", model.save(self.directory, iteration, record, best))

    def _start_model(self, losses: dict[str, Loss]) -> "TrainableModel":
        from lsd_experiments.training.parallel import prepare_backend

        prepare_backend(self.options.devices)
        frameworks.import_keras()
        from lsd_experiments.training.trainable import TrainableModel

        logger.info("the network is being built, for input of %s voxels", self.input_shape)
        return TrainableModel.start(
            self.network, self.input_shape, self.options, self.experiment.optimizer, self.experiment.in_keras(losses),
            self.seed, self.checkpoint,
        )  # fmt: skip


def _seed(asked: int | None, checkpoint: Checkpoint | None) -> int:
    """The seed that was asked for, else the checkpoint's, else a random one."""
    if asked is not None:
        return asked
    recorded = checkpoint.record.get("seed") if checkpoint else None  # a checkpoint of TensorFlow 1 has none
    return secrets.randbits(31) if recorded is None else int(recorded)


@contextmanager
def built(pipeline: "gp.Pipeline") -> Iterator["gp.Pipeline"]:
    """``gunpowder.build``, whose errors are reduced to their cause."""
    import gunpowder as gp

    from lsd_experiments.training.pipeline import reduced_to_cause

    with ExitStack() as stack:
        with reduced_to_cause():
            stack.enter_context(gp.build(pipeline))
        yield pipeline
