"""What a network costs: counted from its layers, and measured where somebody did.

Operations are those of the convolutions as they are defined, two for each multiply-add, per voxel of output, at the input shape
that predicted: those of an auto-context network include those of the one before it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.networks.layers import gflop, parameters
from lsd_experiments.networks.network import Network
from lsd_experiments.prediction.autocontext import LSDS
from lsd_experiments.report.results import Result

PLAIN = {"input_shape", "iteration", "keras_backend", "precision", "roi_offset", "roi_shape", "variant"}  # one run makes a block
SHARE = re.compile(r"the networks ran (\d+) times, ([\d.]+) s of")  # in a worker's log


@dataclass(frozen=True)
class Cost:
    """Of one result; None where nothing says it.

    :param parameters: weights and biases, those of a frozen network included
    :param operations: 10^12 of them per 10^6 voxels of output
    :param step: 10^12 operations of one training step: three passes of the network, and one of a frozen one
    :param iterations: of training
    :param training: CPU seconds, as ``cost.json`` says
    :param iteration: seconds of one iteration by the clock
    :param prediction: seconds by the clock that the network took per 10^6 voxels of output, as the workers' logs say
    :param cpu: CPU seconds per 10^6 voxels of output, measured
    :param memory: GiB, the peak of a process that predicts, measured
    :param training_memory: GiB, the peak of training, as ``cost.json`` says
    """

    parameters: int | None = None
    operations: float | None = None
    step: float | None = None
    iterations: int | None = None
    training: float | None = None
    iteration: float | None = None
    prediction: float | None = None
    cpu: float | None = None
    memory: float | None = None
    training_memory: float | None = None


def cost_of(result: Result, measured: Mapping[str, float] | None = None) -> Cost:
    """What is known of the cost of ``result``.

    :param measured: as :func:`lsd_experiments.report.measuring.measure` gives
    """
    training = result.training
    said: dict[str, Any] = {"iterations": result.iteration, "prediction": _prediction(result)}
    if training is not None:
        said |= {
            "training": training.cost.get("cpu_seconds"),
            "iteration": training.seconds_per_iteration,
            "training_memory": training.cost.get("peak_gib"),
        }
        if training.checkpoint is not None:
            said |= _counted(result, training.checkpoint.network, training.first.network if training.first else None)
    if measured:
        said |= {"cpu": measured["cpu"], "memory": measured["memory"]}
    return Cost(**said)


def _counted(result: Result, network: Network, first: Network | None) -> dict[str, Any]:
    """Parameters and operations; of an auto-context network whose first one is not known, none."""
    if (len(network.inputs) > 1 or network.inputs[0].name != "raw") and first is None:
        return {}
    networks = [network, *([first] if first is not None else [])]
    if not all(isinstance(one, Network) for one in networks):
        return {}
    shape = result.made.get("predict", {}).get("parameters", {}).get("input_shape") or network.smallest_input_shape
    trained_at = result.training.record.get("input_shape") if result.training else None
    step = None
    if trained_at:
        step = 3 * gflop(network, trained_at) + (gflop(first, first.input_shape_for(trained_at)) if first else 0)
    return {
        "parameters": sum(parameters(one) for one in networks),
        "operations": sum(_per_voxel(one, shape, first) for one in networks),
        "step": step and step / 1e3,
    }


def _per_voxel(network: Network, shape: Sequence[int], first: Network | None) -> float:
    """10^12 operations per 10^6 voxels of output; a first network is taken at the shape that gives what the second one reads."""
    own = first.input_shape_for(tuple(shape)) if network is first else tuple(shape)
    return gflop(network, own) / math.prod(network.output_shape(own)) * 1e3


def _prediction(result: Result) -> float | None:
    """Seconds by the clock per 10^6 voxels, of the last start of each worker whose log is there; None if blocks were left out."""
    if result.config is None:
        return None
    made = result.made.get("predict", {})
    predicted, checkpoint = made.get("parameters", {}), result.training and result.training.checkpoint
    shape = predicted.get("input_shape")
    if not shape or not checkpoint or predicted.keys() - PLAIN:  # several runs make a block
        return None
    if result.training and result.training.first and LSDS not in made.get("inputs", {}):
        return None  # two networks ran
    ran, seconds = 0, 0.0
    for log in Path(result.config.out_file).glob(".blockwise/predict/logs/**/*.err"):
        for times, taken in _starts(log.read_text(errors="replace")):
            ran, seconds = ran + times, seconds + taken
    if not ran:
        return None
    return seconds / ran / math.prod(checkpoint.network.output_shape(tuple(shape))) * 1e6


def _starts(text: str) -> list[tuple[int, float]]:
    """Runs and seconds of each start of a worker: its last line, since each line tells of all until then."""
    found = [(int(times), float(seconds)) for times, seconds in SHARE.findall(text)]
    return [one for one, after in zip(found, [*found[1:], (0, 0.0)], strict=True) if after[0] <= one[0]]
