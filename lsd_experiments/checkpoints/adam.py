"""Adam's state in a TensorFlow 1 checkpoint, and in Keras.

Each variable has two slots, the moments m and v, and the optimizer two scalars, the powers of its betas. Names are those
that TensorFlow 1's rules give::

                  m                            v                              powers
    Adam          S/S/<layer>/<weight>/Adam    S/S/<layer>/<weight>/Adam_1    S/beta1_power, S/beta2_power
    MALIS         S/<...>/malis_optimizer      S/<...>/malis_optimizer_1      beta1_power, beta2_power

S is the scope, doubled for the optimizer that was made inside of it. They are found by how they end.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from lsd_experiments.checkpoints.bundle import Bundle
from lsd_experiments.checkpoints.comparing import layer_weights

if TYPE_CHECKING:
    import keras

ADAM, MALIS = "Adam", "malis_optimizer"
BETAS = {"beta1_power": 0.95, "beta2_power": 0.999}  # as published
EXACT = 1e-30  # below, a float32 power is on its way to 0, and counts no steps any more


@dataclass(frozen=True)
class Slots:
    """The variables of an optimizer's state.

    ``first``, ``second``: of the moments, by ``<layer>/<weight>``. ``powers``: of ``beta1_power`` and ``beta2_power``, as
    far as they are there.
    """

    optimizer: str
    first: Mapping[str, str]
    second: Mapping[str, str]
    powers: Mapping[str, str]


def find_slots(names: Iterable[str], scope: str, weights: Iterable[str]) -> Slots | None:
    """The state of the optimizer that trained ``weights`` of ``scope``, or None if not all of it is there.

    After the switch to the MALIS loss its optimizer is the one at work: a checkpoint may have both.
    """
    names, weights = set(names), list(weights)
    prefix = f"{scope}/" if scope else ""
    for optimizer, inside in ((MALIS, False), (ADAM, True)):
        slot = re.compile(re.escape(prefix) + rf"(?:.+/)?([^/]+/(?:kernel|bias))/{optimizer}(_1)?")
        found = [(match[1], match[2], name) for name in names if (match := slot.fullmatch(name))]
        first = {weight: name for weight, second, name in found if not second}
        second = {weight: name for weight, second, name in found if second}
        if weights and set(weights) <= first.keys() & second.keys():
            places = [prefix, ""] if inside else ["", prefix]
            powers = {p: place + p for p in BETAS for place in reversed(places) if place + p in names}
            return Slots(optimizer, first, second, powers)
    return None


def steps_taken(bundle: Bundle, slots: Slots, iteration: int) -> int:
    """How many steps the optimizer took: after t of them, the power of beta is beta^(t + 1).

    That of beta 1 tells up to some 1300 steps, that of beta 2 up to 69 000; beyond, the bias corrections are 1 in float32
    whatever the number, and it is taken to be ``iteration``.
    """
    for power, beta in BETAS.items():
        if power in slots.powers:
            value = float(bundle.read(slots.powers[power]))
            if EXACT < value < 1:
                return max(0, round(math.log(value) / math.log(beta)) - 1)
    return iteration


def restore_adam(model: "keras.Model", moments: Callable[[str], tuple[NDArray[Any], NDArray[Any]]], steps: int) -> None:
    """Put a state into the Adam of a compiled ``model``; ``moments`` gives m and v of ``<layer>/<weight>``."""
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    places = {id(variable): at for at, variable in enumerate(model.trainable_variables)}
    for layer in model.layers:
        for name, variable in layer_weights(layer).items():
            at = places[id(variable)]
            first, second = moments(name)
            optimizer._momentums[at].assign(first)
            optimizer._velocities[at].assign(second)
    optimizer.iterations.assign(steps)
