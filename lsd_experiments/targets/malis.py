"""The MALIS loss of affinities: ``sum(w * (prediction - target)^2)``, with weights found on the host.

The weights are constants to the gradient: MALIS moves the edges of the spanning tree, and does not ask which others
would become its edges if it moved them further.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gunpowder as gp
    import numpy as np
    from numpy.typing import NDArray

    from lsd_experiments.targets.affinities import Affinities


@dataclass(frozen=True)
class Malis:
    """See :class:`~lsd_experiments.targets.Loss`. Its knowledge: the edges' mask and, as one more channel, connected objects."""

    def label(self, target: "Affinities") -> str:
        """So that its curve is not mistaken for that of the loss before it."""
        return "malis_loss"

    def knowledge(self, target: "Affinities", batch: "gp.Batch") -> "NDArray[Any]":
        """Objects are connected in all the labels that there are, and cropped to the output then."""
        import gunpowder as gp
        import numpy as np

        from lsd_experiments.malis import connected_objects
        from lsd_experiments.training.keys import LABELS, channels_first, head_keys

        keys, labels = head_keys(target.name), batch[LABELS]
        spec = gp.ArraySpec(roi=labels.spec.roi, voxel_size=labels.spec.voxel_size)
        found = gp.Array(np.stack([connected_objects(sample) for sample in labels.data]), spec)
        objects = found.crop(batch[keys.target].spec.roi).data
        return np.concatenate((channels_first(batch[keys.mask]), objects[:, None]), axis=1, dtype=np.float32)

    def in_keras(self, target: "Affinities") -> Callable[[Any, Any], Any]:
        """On any of Keras' backends."""
        import numpy as np
        from keras import ops

        from lsd_experiments.malis import edge_weights

        def weights(known: Any, prediction: Any) -> "NDArray[np.float32]":
            affs, mask_and_objects = (np.moveaxis(np.asarray(array), -1, 1) for array in (prediction, known))
            found = edge_weights(affs, mask_and_objects, target.neighborhood)
            return np.ascontiguousarray(np.moveaxis(found, 1, -1))

        def error(truth: Any, prediction: Any) -> Any:
            targets, known = truth[..., : target.channels], truth[..., target.channels :]
            return ops.sum(on_host(weights, known, prediction) * ops.square(prediction - targets))

        return error

    def gradient(
        self, target: "Affinities", prediction: "NDArray[Any]", truth: "NDArray[Any]", knowledge: "NDArray[Any]"
    ) -> "NDArray[np.float32]":
        """By the prediction."""
        import numpy as np

        from lsd_experiments.malis import edge_weights

        of_edges = edge_weights(prediction, knowledge, target.neighborhood)
        values: NDArray[np.float32] = (2 * of_edges * (prediction - truth)).astype(np.float32)
        return values


def on_host(function: "Callable[..., NDArray[np.float32]]", *tensors: Any) -> Any:
    """``function`` of NumPy arrays of the values of ``tensors``: a constant of the shape and type of the last of them."""
    import keras

    last = tensors[-1]
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            result = tf.numpy_function(function, tensors, last.dtype)
            result.set_shape(last.shape)
            return result
        case "jax":
            import jax

            shape = jax.ShapeDtypeStruct(last.shape, last.dtype)
            return jax.pure_callback(function, shape, *(jax.lax.stop_gradient(tensor) for tensor in tensors))
        case "torch":
            import torch

            values = function(*(tensor.detach().cpu().numpy() for tensor in tensors))
            return torch.from_numpy(values).to(last.device)
    raise AssertionError(f"no way to the host from {keras.backend.backend()}")
