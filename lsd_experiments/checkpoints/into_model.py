"""The weights of a checkpoint, of either format, into a model."""

from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments.checkpoints import own, tensorflow1
from lsd_experiments.checkpoints.checkpoint import Checkpoint
from lsd_experiments.checkpoints.finding import resolve
from lsd_experiments.checkpoints.loading import read_checkpoint

if TYPE_CHECKING:
    import keras


def load_checkpoint(model: "keras.Model", prefix: str | Path, plain: bool = False) -> Checkpoint:
    """Load the weights of a checkpoint into ``model``, and the optimizer's state if the model is compiled and it is there.

    Where the training kept an average of the weights (``train.py --average-weights``), that is what is loaded, unless ``plain``.

    :param prefix: ``.../train_net_checkpoint_<n>``, what its files' names begin with; or an ``.index`` or ``.weights.h5`` file,
        or a setup directory (its newest).
    :raises UserError: if there is none; if a layer of the model is not in it, or of another shape: it is named.
    """
    checkpoint = read_checkpoint(resolve(prefix))
    if checkpoint.published:
        tensorflow1.load_published(model, checkpoint.path)
    else:
        own.load_own(model, checkpoint.path, averaged=checkpoint.averaged and not plain)
    return checkpoint
