"""One call of train.py: what is checked first, the pipeline, and the loop that trains until an iteration and saves.

:func:`train_here` holds the directory's lock, :func:`prepare` looks at all that could be wrong and writes nothing, and
:class:`Training` does the rest. SIGTERM and Ctrl-C end it after the step that it is at, with a checkpoint.
"""

import dataclasses
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments import checkpoints, frameworks, networks
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.checkpoints.checkpoint import AVERAGE
from lsd_experiments.datasets import FILE, Dataset, load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.intensity import NOTE
from lsd_experiments.locks import only_run
from lsd_experiments.networks.network import Network, Shape
from lsd_experiments.prediction.autocontext import LSDS, find_lsd_network, lsds_record, raw_shape
from lsd_experiments.prediction.loading import TrainedNetwork
from lsd_experiments.provenance import provenance
from lsd_experiments.targets import Loss
from lsd_experiments.training.data import Sample, find_samples
from lsd_experiments.training.experiment import Experiment
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.padding import label_padding
from lsd_experiments.training.places import Places, find_places
from lsd_experiments.training.ranges import scaled_samples
from lsd_experiments.training.showing import check_showing
from lsd_experiments.training.validating import Validating
from lsd_experiments.training.validation_samples import kept_samples
from lsd_experiments.writing import check_writable

if TYPE_CHECKING:
    import gunpowder as gp

    from lsd_experiments.networks.protocols import Model
    from lsd_experiments.training.nodes import TrainingStep
    from lsd_experiments.training.trainable import TrainableModel

logger = logging.getLogger(__name__)

LOCK = ".training.lock"  # of a training in its directory
AHEAD = 4  # batches that each worker keeps: 40 of 10 workers, as published
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class NotFinite(Exception):
    """The loss, or a weight, is not a number any more."""


def train_here(experiment: Experiment, directory: Path, options: TrainingOptions) -> int:
    """Train ``experiment`` in ``directory``, which is that of its train.py; returns the exit status."""
    read = networks.read(directory / experiment.network)
    with only_run(directory, lock=directory / LOCK, work="another training is at work in this directory"):
        training = prepare(experiment, read, directory, options)
        return training.run() if training else 0


def prepare(
    experiment: Experiment, read: networks.NetworkFile, directory: Path, options: TrainingOptions
) -> "Training | None":
    """The training, if there is anything left to do; nothing is written yet.

    :raises UserError: if it cannot begin: nobody wants to hear that after a day.
    """
    network = options.applied_to(read.network)
    input_shape = options.input_shape or read.input_shape
    output_shape = network.output_shape(input_shape)
    checkpoint = checkpoints.find_checkpoint(directory)
    if checkpoint is not None:
        checkpoints.require_same_network(network, checkpoint)
        if checkpoint.iteration >= options.iterations:
            print(
                f"nothing to do: {checkpoint.path.name} is at iteration {checkpoint.iteration}, {options.iterations} "
                f"{'was' if options.iterations == 1 else 'were'} asked for"
            )
            return None
    experiment.check_network(network)
    experiment, options = decided(experiment, options, checkpoint)
    first = _first_network(experiment, options, directory, checkpoint)
    dataset = _dataset(experiment, directory)
    padding = label_padding(experiment, dataset.voxel_size, output_shape)
    found = find_samples(dataset, options.data, options.resample)
    places = []
    for sample in found:
        places.append(find_places(sample, output_shape, padding, experiment.min_masked))
        if not options.force:
            check_showing(sample)
    scaled, note, said = scaled_samples(found, options.raw_range, checkpoint, first, dataset.raw_range)
    samples = list(zip(scaled, places, strict=True))
    kept = kept_samples(dataset, options, note["ranges"])
    training = Training(
        experiment, dataset, network, input_shape, options, directory, samples, checkpoint, first, raw_range=note, kept=kept
    )
    for path in (directory, directory / "snapshots", training.log_dir):
        check_writable(path)
    where = f"{checkpoint.path.name}" if checkpoint else "the start, as there is no checkpoint"
    print(f"training until iteration {options.iterations}, from {where}", file=sys.stderr)
    if said:
        print(said, file=sys.stderr)
    return training


def _dataset(experiment: Experiment, directory: Path) -> Dataset:
    """That which train.py names; a dataset.toml may lie in the directory, too, where it was copied to.

    :raises UserError: if there is none: another dataset than was meant is not taken in its place
    """
    named = directory / experiment.dataset
    if not named.is_file() and named.name != FILE:
        raise UserError(f"{named}: no such file, which train.py names as its dataset. Write it, or correct train.py")
    return load_dataset(named if named.is_file() else directory)


def decided(
    experiment: Experiment, options: TrainingOptions, checkpoint: Checkpoint | None
) -> tuple[Experiment, TrainingOptions]:
    """Parity, averages, where MALIS begins: as asked for, else as in the training that goes on, else as the experiment says."""
    recorded = checkpoint.record.get("provenance", {}).get("parameters", {}) if checkpoint else {}

    def first_known(*values: Any) -> Any:
        return next((value for value in values if value is not None), None)

    experiment = dataclasses.replace(
        experiment, parity=bool(first_known(options.parity, recorded.get("parity"), experiment.parity))
    )
    average = checkpoint.record.get(AVERAGE, {}) if checkpoint else {}
    options = dataclasses.replace(options, average_weights=first_known(options.average_weights, average.get("decay")))
    if experiment.malis_from is None:
        return experiment, options
    malis_from = int(first_known(options.malis_from, recorded.get("malis_from"), experiment.malis_from))
    return experiment.with_malis_from(malis_from), dataclasses.replace(options, malis_from=malis_from)


def _first_network(
    experiment: Experiment, options: TrainingOptions, directory: Path, checkpoint: Checkpoint | None
) -> TrainedNetwork | None:
    """The frozen network of which this one takes the prediction, if it takes any."""
    if experiment.first_network is None:
        return None
    record = checkpoint.record.get(LSDS) if checkpoint else None
    return find_lsd_network(directory, options.lsds_setup, options.lsds_checkpoint, record)


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


@contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
    """Turns SIGTERM and Ctrl-C into a question: the signal that asked for a stop, or 0. A second Ctrl-C interrupts at once."""
    received: list[int] = []
    main_process = os.getpid()

    def remember(number: int, _: Any) -> None:
        if os.getpid() == main_process and received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, remember) for number in SIGNALS}
    try:
        yield lambda: received[0] if received else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
