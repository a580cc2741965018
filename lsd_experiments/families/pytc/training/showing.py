"""What TensorBoard and the log file show of a training, under the published names."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.configuration.options import split
from lsd_experiments.families.pytc.inference.model import ACTIVATIONS
from lsd_experiments.families.pytc.samples.loader import Batch
from lsd_experiments.training.tensorboard import Log

Pixels = NDArray[np.uint8]
Volume = NDArray[Any]
SIZE = 256  # pixels of the pie
COLOURS = ((66, 133, 244), (234, 67, 53), (251, 188, 4), (52, 168, 83), (171, 71, 188), (0, 172, 193), (255, 112, 67))


class Board:
    """Of one run in ``directory``: a folder for TensorBoard, and log.txt, as MONITOR.LOG_OPT asks for them."""

    def __init__(self, config: Config, directory: Path, wanted: bool = True) -> None:
        self._config, self._sums, self._number = config, dict[str, float](), 0
        _, board, text = (*config.MONITOR.LOG_OPT, 0, 0, 0)[:3]
        self._text = directory / "log.txt" if wanted and text else None
        began = datetime.datetime.now()
        self._log = Log(directory / f"log{began:%Y-%m-%d_%H-%M-%S}") if wanted and board else None

    def describe(self, network: nn.Module) -> None:
        """The configuration and the network, as texts."""
        if self._log:
            settings = yaml.safe_dump(self._config.tree, default_flow_style=None, width=120)
            self._log.texts({"Config": _quoted(settings), "Model Architecture": _quoted(str(network))})

    def add(self, done: int, means: Mapping[str, float], rate: float) -> None:
        """The losses of an iteration, of which the means over ITERATION_NUM[0] iterations are shown; and the learning rate."""
        for name, value in means.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._number += 1
        if done % self._config.MONITOR.ITERATION_NUM[0]:
            return
        shown = {name: value / self._number for name, value in self._sums.items()}
        self._sums, self._number = {}, 0
        if self._text:
            with self._text.open("a") as file:
                file.write(f"[Iteration {done:05d}] train_loss={shown['Loss']:.5f}, lr={rate:.5f}\n")
        if self._log:
            self._log.scalars(done, shown | {"Learning Rate": rate})
            parts = {name: value for name, value in shown.items() if name != "Loss"}
            if len(parts) > 1:
                self._log.pictures(done, {"Loss Ratio": pie(parts)})

    def wants_sections(self, done: int) -> bool:
        """Whether it is their turn."""
        return bool(self._log) and done % self._config.MONITOR.ITERATION_NUM[1] == 0

    def sections(self, done: int, batch: Batch, prediction: Tensor, suffix: str = "") -> None:
        """Of the first sample: rows of image, prediction, label and weights, a picture for each target."""
        if self._log:
            self._log.pictures(done, {f"Consecutive_{option}_{index}{suffix}": picture for (option, index), picture in
                                      _pictures(self._config, batch, prediction).items()})

    def validation(self, done: int, loss: float) -> None:
        """The mean loss of validation."""
        if self._log:
            self._log.scalars(done, {"Validation_Loss": loss})

    def close(self) -> None:
        """Write what is not written yet."""
        if self._log:
            self._log.close()


def pie(parts: Mapping[str, float]) -> Pixels:
    """The shares of ``parts`` as a pie, with its legend: [y, x, 3]."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIZE, SIZE + 14 * len(parts)), "white")
    draw, total, begin = ImageDraw.Draw(image), sum(map(abs, parts.values())) or 1.0, -90.0
    for number, (name, value) in enumerate(parts.items()):
        colour, end = COLOURS[number % len(COLOURS)], begin + 360 * abs(value) / total
        if end > begin:
            draw.pieslice((20, 20, SIZE - 20, SIZE - 20), begin, end, fill=colour)
        draw.text((10, SIZE + 14 * number), f"{name}: {abs(value) / total:.1%}", fill=colour)
        begin = end
    return np.asarray(image, np.uint8)


def _pictures(config: Config, batch: Batch, prediction: Tensor) -> dict[tuple[str, int], Pixels]:
    model, most = config.MODEL, config.MONITOR.VIS_OPT[1]
    image: Volume = _volume(batch.image[0]) * config.DATASET.STD + config.DATASET.MEAN
    found, first = {}, 0
    for index, (option, count) in enumerate(zip(model.TARGET_OPT, split(model.TARGET_OPT, model.OUT_PLANES, config.DATASET.DO_2D),
                                                strict=True)):
        output, target = prediction[:1, first:first + count], batch.targets[index]
        first += count
        shown: Volume
        classes = target.ndim < output.ndim  # numbers, of as many as there are channels
        if classes:
            shown = _volume(output[0].argmax(0, keepdim=True)) / max(count - 1, 1)
            label = _volume(target[0][None]) / max(count - 1, 1)
        else:
            shown, label = _volume(ACTIVATIONS[config.INFERENCE.OUTPUT_ACT[index]](output)[0]), _volume(target[0])
        weights = [_volume(weight[0] if weight.ndim >= target.ndim else weight[0][None]) for weight in batch.weights[index]
                   if weight.ndim >= target.ndim - 1 and weight[0].numel() > 1]
        rows = [image, shown, label, *(weight / max(float(weight.max()), 1e-6) for weight in weights)]
        found[option, index] = montage(rows, most)
    return found


def montage(rows: list[NDArray[Any]], most: int) -> Pixels:
    """A picture of up to ``most`` consecutive sections in the middle of each of ``rows``, [c, z, y, x] from 0 to 1.

    The first three channels are red, green and blue; where there are fewer, they are all the first one.
    """
    depth = rows[0].shape[1]
    begin = max(0, (depth - most) // 2)
    made = []
    for row in rows:
        part = row[:3] if len(row) >= 3 else np.repeat(row[:1], 3, axis=0)
        sections = np.moveaxis(part[:, begin:begin + most], 0, -1)  # [z, y, x, 3]
        made.append(np.concatenate(list(sections), axis=1))
    return np.asarray(np.clip(np.nan_to_num(np.concatenate(made)), 0, 1) * 255, np.uint8)


def _volume(values: Tensor) -> Volume:
    """[c, z, y, x] on the CPU; of a section, [c, y, x], with one z."""
    found: Volume = values.detach().float().cpu().numpy()
    return found[:, None] if found.ndim == 3 else found


def _quoted(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
