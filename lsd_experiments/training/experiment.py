"""What an experiment is: the one object that its ``train.py`` declares."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lsd_experiments.errors import UserError
from lsd_experiments.targets import DIRECT, Loss, Target
from lsd_experiments.targets.malis import Malis

if TYPE_CHECKING:
    import gunpowder as gp
    import keras

    from lsd_experiments.networks.network import Head, Network

RAW_INPUT = "raw"  # the input of networks that the dataset has


@dataclass(frozen=True)
class Adam:
    """Adam as published; epsilon is added to sqrt(v) before the bias correction, as Keras does it too."""

    learning_rate: float = 0.5e-4
    beta_1: float = 0.95
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def in_keras(self, learning_rate: float) -> "keras.optimizers.Optimizer":
        """With the learning rate that train.py was asked for."""
        import keras

        return keras.optimizers.Adam(learning_rate, beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)


@dataclass(frozen=True)
class Phase:
    """From the iteration that comes after ``after`` on, the head ``target`` has another ``loss``.

    Batches are made alike in all phases, and weights and the optimizer's state carry over, so that a training may stop and go on
    anywhere.
    """

    after: int
    target: str
    loss: Loss


@dataclass(frozen=True)
class FirstNetwork:
    """In auto-context, the frozen network in ``directory``; its prediction of ``target`` is an input of the second network."""

    directory: str
    target: Target


@dataclass(frozen=True)
class Experiment:
    """Paths are seen from the directory of ``train.py``; axes are (z, y, x).

    ``dataset``: its facts. ``network``: what mknet.py wrote. ``targets``: what the network's heads are trained towards, in the
    order in which their nodes come. ``sampling``: gunpowder's nodes that vary raw in [0, 1] and labels.
    ``boundary_axes``: those along which a voxel is taken off each label where it touches another one or background.
    ``min_masked``: the least share of an output that the labels mask (of sparse labels, the unlabeled mask) covers.
    ``label_padding``: voxels around the labels that an output may reach; None: computed.
    ``parity``: whether samples are as published where ours differ; docs/differences.md.
    ``save_every``, ``snapshot_every``: iterations, if nobody says.
    """

    dataset: str
    network: str
    targets: tuple[Target, ...]
    sampling: "Callable[[], gp.BatchFilter]"
    boundary_axes: tuple[int, ...] = (0, 1, 2)
    optimizer: Adam = Adam()
    phases: tuple[Phase, ...] = ()
    first_network: FirstNetwork | None = None
    min_masked: float = 0.5
    label_padding: tuple[int, int, int] | None = None
    parity: bool = False
    save_every: int = 10_000
    snapshot_every: int = 1_000

    @property
    def malis_from(self) -> int | None:
        """The iteration after which a head has the MALIS loss, if one has."""
        return next((phase.after for phase in self.phases if isinstance(phase.loss, Malis)), None)

    def with_malis_from(self, iteration: int) -> "Experiment":
        """With another iteration after which the MALIS loss comes."""
        phases = (replace(phase, after=iteration) if isinstance(phase.loss, Malis) else phase for phase in self.phases)
        return replace(self, phases=tuple(phases))

    def losses(self, iteration: int) -> dict[str, Loss]:
        """The loss of each head in the step that follows ``iteration``."""
        found = {target.name: target.loss for target in self.targets}
        return found | {phase.target: phase.loss for phase in self.phases if iteration >= phase.after}

    def in_keras(self, losses: dict[str, Loss]) -> dict[str, Callable[[Any, Any], Any]]:
        """``losses`` as functions of truth and prediction."""
        return {target.name: losses[target.name].in_keras(target) for target in self.targets}

    def noted_in(self, network: "Network") -> "Network":
        """``network``, whose heads say what their channels are where the names do not: flips of predictions go by it."""
        targets = {target.name: target for target in self.targets}
        return replace(network, heads=tuple(_noted(head, targets[head.name]) for head in network.heads))

    def check_network(self, network: "Network") -> None:
        """:raises UserError: if the network has other heads than there are targets, or takes what nothing makes."""
        heads = {head.name: head.channels for head in network.heads}
        targets = {target.name: target.channels for target in self.targets}
        inputs = {source.name: source.channels for source in network.inputs if source.name != RAW_INPUT}
        targets_of_first = [self.first_network.target] if self.first_network else []
        first = {target.name: target.channels for target in targets_of_first}
        for what, found, declared in (("has the heads", heads, targets), ("takes, beside raw,", inputs, first)):
            if found != declared:
                raise UserError(f"{self.network}: the network {what} {_listed(found)}, train.py says {_listed(declared)}. "
                                "Correct mknet.py and run it again, or correct train.py")
        offsets = {target.name: tuple(map(tuple, getattr(target, "neighborhood", ()))) for target in self.targets}
        for head in network.heads:  # flips of predictions go by it
            if head.neighborhood is not None and head.neighborhood != offsets[head.name]:
                raise UserError(f"{self.network}: the neighborhood of {head.name} is {head.neighborhood}, train.py says "
                                f"{offsets[head.name]}. Correct mknet.py and run it again, or correct train.py")


def _noted(head: "Head", target: Target) -> "Head":
    neighborhood = getattr(target, "neighborhood", None)
    says_it = getattr(type(target), "name", None) == head.name and neighborhood in (None, DIRECT)
    return head if says_it else replace(head, target=getattr(target, "kind", None), neighborhood=neighborhood)


def _listed(channels: dict[str, int]) -> str:
    return ", ".join(f"{name} ({number} channels)" for name, number in channels.items()) or "nothing"
