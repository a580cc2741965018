"""The tiling that the settings ask for, checked against the network and the volume."""

from collections.abc import Sequence

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Voxels
from lsd_experiments.prediction.loading import TrainedNetwork
from lsd_experiments.prediction.settings import PredictionSettings
from lsd_experiments.prediction.tiling import Tiling, make_tiling
from lsd_experiments.prediction.turning import AXES, Ensemble, turns


def find_tiling(
    settings: PredictionSettings, trained: TrainedNetwork, voxel_size: Sequence[float], first: Voxels, world: Voxels
) -> Tiling | None:
    """How blocks are put together; None if each is one patch, as published.

    :param voxel_size: (z, y, x) in nm of what is predicted
    :param first: the first voxel that is predicted; ``world``: where voxel 0 lies, counted from the world's origin
    :raises UserError: if the network's patches cannot be turned or stepped so
    """
    network = trained.network
    output_shape = network.output_shape(trained.input_shape)
    turned = settings.flips or settings.transposes
    if settings.parity and not turned:
        raise UserError("parity: says how predictions are turned, but there are no flips and no transposes. Leave it out")
    plain = settings.blend == "crop" and not turned
    if plain and (settings.patch_step is None or (settings.patch_step == output_shape and not settings.seamless)):
        return None
    if settings.lsds_on_the_fly:
        raise UserError("LSDs are made on the fly, of one patch for each block, but patches were asked for that overlap or are "
                        "turned. Predict LSDs first, with the same options, and leave lsds_on_the_fly out")
    _check_turns(settings, trained, voxel_size)
    ensemble = Ensemble.of(network.heads, turns(settings.flips or "", settings.transposes or ""), settings.parity)
    stride = network.stride if settings.seamless else None
    return make_tiling(ensemble, settings.blend, settings.patch_step, output_shape, first, stride, world)


def _check_turns(settings: PredictionSettings, trained: TrainedNetwork, voxel_size: Sequence[float]) -> None:
    network, transposes = trained.network, settings.transposes or ""
    for axis in settings.flips or "":
        if network.context[AXES.index(axis)] % 2:
            raise UserError(f"flips: along {axis} the network's context, {network.context}, is not the same on both sides. "
                            f"Leave {axis} out")
    for what, sizes in (("voxels", voxel_size), ("input shape", trained.input_shape), ("the network's context", network.context)):
        found = {round(sizes[AXES.index(axis)], 6) for axis in transposes}
        if len(found) > 1:
            raise UserError(f"transposes: {what} {tuple(sizes)} differ along {', '.join(transposes)}. Leave axes out"
                            + (", or name another input_shape" if what == "input shape" else ""))
