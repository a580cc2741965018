"""What a network is trained by: the weighted sum of the losses and regularisers that a configuration names. Imports PyTorch."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.pytc.losses import ACTIVATIONS, LOSSES, REGULARISERS, UNWEIGHTED
from lsd_experiments.families.pytc.targets import TUTORIAL, channels_of

Options = Sequence[Sequence[str]]
Weights = Sequence[Sequence[Tensor | None]]


@dataclass(frozen=True)
class Criterion:
    """The keys of MODEL by their names there; each of the first four has one list for each target, and one entry for each loss.

    :param arguments: of losses, for each target and loss (LOSS_KWARGS_KEY with LOSS_KWARGS_VAL)
    :param regularisers: REGU_OPT, with REGU_TARGET, the outputs that each looks at, and REGU_WEIGHT
    :param flat: whether samples are single sections, without a z axis
    :raises UserError: if a name is none, or numbers of entries differ
    """

    targets: Sequence[str]
    losses: Options
    loss_weights: Sequence[Sequence[float]]
    activations: Options
    arguments: Sequence[Sequence[Mapping[str, Any]]] | None = None
    regularisers: Sequence[str] = ()
    regularised: Sequence[Sequence[int]] = ()
    regulariser_weights: Sequence[float] = ()
    revision: str = TUTORIAL
    flat: bool = False

    def __post_init__(self) -> None:
        shape = [len(options) for options in self.losses]
        for key, lists in (("LOSS_WEIGHT", self.loss_weights), ("OUTPUT_ACT", self.activations)):
            if [len(values) for values in lists] != shape:
                raise UserError(f"MODEL.{key}: must have an entry for each of MODEL.LOSS_OPTION, {list(map(list, self.losses))}")
        if len(shape) != len(self.targets):
            raise UserError(f"MODEL.LOSS_OPTION: has {len(shape)} lists for {len(self.targets)} targets. Give one for each")
        for key, lists, known in (("LOSS_OPTION", self.losses, LOSSES), ("OUTPUT_ACT", self.activations, ACTIVATIONS)):
            for name in (name for names in lists for name in names):
                _check_known(f"MODEL.{key}", name, known)
        for names, given in zip(self.losses, self.arguments or (), strict=self.arguments is not None):
            for name, arguments in zip(names, given, strict=True):
                if unknown := [key for key in arguments if key not in inspect.signature(LOSSES[name]).parameters]:
                    raise UserError(f"MODEL.LOSS_KWARGS_KEY: {name} takes no '{unknown[0]}'. Leave it out")
        if not len(self.regularisers) == len(self.regularised) == len(self.regulariser_weights):
            raise UserError("MODEL.REGU_OPT: REGU_TARGET and REGU_WEIGHT must have as many entries. Give one for each")
        for name, outputs in zip(self.regularisers, self.regularised, strict=True):
            _check_known("MODEL.REGU_OPT", name, REGULARISERS)
            count = REGULARISERS[name][1]
            if len(outputs) != count or not all(0 <= output < len(self.targets) for output in outputs):
                raise UserError(f"MODEL.REGU_TARGET: {name} looks at {count} of the {len(self.targets)} targets, not at "
                                f"{list(outputs)}")

    def __call__(self, prediction: Tensor, targets: Sequence[Tensor], weights: Weights,
                 mask: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a prediction [b, c, z, y, x], logits of all targets in turn, and its parts, without their gradients.

        :param targets: of each, [b, c, z, y, x], or [b, z, y, x] for classes
        :param weights: of each target and loss; None, or tensors of one number each, for none
        :param mask: [b, 1, z, y, x], 1 where it is known what is there: the rest counts in no loss; None: everywhere
        """
        outputs = self.split(prediction)
        parts: dict[str, Tensor] = {}
        for index, (option, output, target) in enumerate(zip(self.targets, outputs, targets, strict=True)):
            for number, name in enumerate(self.losses[index]):
                arguments = self.arguments[index][number] if self.arguments else {}
                activated = ACTIVATIONS[self.activations[index][number]](output)
                weight = _weight(weights[index][number], target)
                loss = LOSSES[name](*_of_known(name, activated, target, weight, mask), **arguments)
                parts[f"{option}_{name}_{index}"] = self.loss_weights[index][number] * loss
        for name, which, weight in zip(self.regularisers, self.regularised, self.regulariser_weights, strict=True):
            part = REGULARISERS[name][0](*(outputs[output] for output in which), mask=mask)
            parts["_".join([name, *(str(output) for output in which)])] = weight * part
        return sum(parts.values(), prediction.new_zeros(())), {name: part.detach() for name, part in parts.items()}

    def split(self, prediction: Tensor) -> list[Tensor]:
        """The prediction's channels of each target."""
        channels = [channels_of(option, self.revision, self.flat) for option in self.targets]
        if sum(channels) != prediction.shape[1]:
            raise UserError(f"MODEL.OUT_PLANES: {prediction.shape[1]} channels; MODEL.TARGET_OPT {', '.join(self.targets)} "
                            f"takes {sum(channels)}. Set it to that")
        return list(prediction.split(channels, dim=1))


def criterion_of(tree: Mapping[str, Any], revision: str = TUTORIAL) -> Criterion:
    """The criterion of a configuration, by its tree: ``tree["MODEL"]["LOSS_OPTION"]``.

    :raises UserError: if it names none
    """
    model = tree["MODEL"]
    losses, names, values = model["LOSS_OPTION"], model["LOSS_KWARGS_KEY"], model["LOSS_KWARGS_VAL"]
    try:
        arguments = None if names is None else [
            [_arguments(names[index][number], values[index][number]) for number in range(len(row))]
            for index, row in enumerate(losses)]
    except (TypeError, IndexError, ValueError):
        raise UserError(f"MODEL.LOSS_KWARGS_KEY: {names} with LOSS_KWARGS_VAL {values} do not have an entry for each of "
                        f"MODEL.LOSS_OPTION, {losses}. Give each loss a list of names and one of values, or None") from None
    return Criterion(model["TARGET_OPT"], losses, model["LOSS_WEIGHT"], model["OUTPUT_ACT"], arguments, model["REGU_OPT"] or (),
                     model["REGU_TARGET"] or (), model["REGU_WEIGHT"] or (), revision, bool(tree["DATASET"]["DO_2D"]))


def _arguments(names: str | Sequence[str] | None, values: Any) -> dict[str, Any]:
    if names is None:
        return {}
    return {names: values} if isinstance(names, str) else dict(zip(names, values, strict=True))


def _weight(weight: Tensor | None, target: Tensor) -> Tensor | None:
    """None for what stands for no weight: one number, of each sample."""
    return None if weight is None or weight.ndim < target.ndim - 1 else weight


def _of_known(name: str, output: Tensor, target: Tensor, weight: Tensor | None,
              mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """What a loss gets, without what lies outside of ``mask``: of losses that take no weights, both are 0 there."""
    if mask is None:
        return output, target, weight
    if name in UNWEIGHTED:
        return output * mask, target * mask, weight
    if weight is None:
        return output, target, mask
    return output, target, weight * (mask if weight.ndim == mask.ndim else mask[:, 0])


def _check_known(key: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise UserError(f"{key}: unknown '{name}'{nearest(name, known)}; there are {', '.join(known)}")
