"""Losses and regularisers of PyTorch Connectomics, and their weighted sum. This module imports PyTorch.

Predictions, targets and weights are tensors [b, c, z, y, x]; a target of classes is [b, z, y, x] int64. Weights have the shape
of the prediction, or one channel; None, or one number, is no weight. A loss is a mean over all elements, of which weights only
scale each (it is not divided by their sum), unless its line says otherwise. ``LOSSES`` has them by their names in LOSS_OPTION.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[..., Tensor]


def bce_with_logits(prediction: Tensor, target: Tensor, weight: Tensor | None = None, eps: float = 0.0) -> Tensor:
    """Cross entropy of logits; targets are brought into ``eps`` to ``1 - eps``."""
    target = target.clamp(eps, 1 - eps) if eps else target
    return functional.binary_cross_entropy_with_logits(prediction, target, weight)


def bce(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross entropy of probabilities."""
    return functional.binary_cross_entropy(prediction, target, weight)


def dice(prediction: Tensor, target: Tensor, weight: Tensor | None = None, reduce: bool = True, smooth: float = 100.0,
         power: float = 1.0) -> Tensor:
    """Soft Dice loss of probabilities, of each sample over all channels, then the mean; weights do not count.

    :param reduce: False: of all samples together
    """
    if prediction.shape != target.shape:
        raise ValueError(f"a prediction of shape {tuple(prediction.shape)} has a target of shape {tuple(target.shape)}")
    rows = len(prediction) if reduce else 1
    p, t = prediction.reshape(rows, -1), target.reshape(rows, -1)
    total = (p**power).sum(1) + (t**power).sum(1)
    return (1 - (2 * (p * t).sum(1) + smooth) / (total + smooth)).mean()


def weighted_soft_dice(prediction: Tensor, target: Tensor, weight: Tensor | None = None, smooth: float = 100.0,
                       power: float = 2.0, v2: float = 0.85, v1: float = 0.15) -> Tensor:
    """Soft Dice loss of probabilities and targets stretched to -1 to 1, foreground weighing ``v2``, background ``v1``."""
    p, t = prediction.reshape(len(prediction), -1), target.reshape(len(target), -1)
    w = t * (v2 - v1) + v1
    p, t = w * (2 * p - 1), w * (2 * t - 1)
    total = (p**power).sum(1) + (t**power).sum(1)
    return (1 - (2 * (p * t).sum(1) + smooth) / (total + smooth)).mean()


def squared_error(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Summed over channels, then the mean."""
    return _masked((prediction - target) ** 2, weight) * prediction.shape[1]


def absolute_error(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean of absolute differences."""
    return _masked((prediction - target).abs(), weight)


def focal(prediction: Tensor, target: Tensor, weight: Tensor | None = None, gamma: float = 2.0, alpha: float = 0.25,
          eps: float = 0.0) -> Tensor:
    """Focal loss of logits: easy voxels weigh less by the power ``gamma``; foreground ``1 - alpha``, background ``alpha``."""
    p = torch.sigmoid(prediction)
    wrong = p * (1 - target) + (1 - p) * target
    balance = target * (1 - alpha) + (1 - target) * alpha
    entropy = functional.binary_cross_entropy_with_logits(prediction, target.clamp(eps, 1 - eps), reduction="none")
    return _masked(balance * wrong**gamma * entropy, weight)


def cross_entropy(prediction: Tensor, target: Tensor, weight: Tensor | None = None,
                  class_weight: Sequence[float] | None = None) -> Tensor:
    """Of logits and classes; ``class_weight`` scales errors, the mean is over all places.

    :param weight: [b, z, y, x], or with one channel
    """
    weights = None if class_weight is None else prediction.new_tensor(class_weight)
    errors = functional.cross_entropy(prediction, target, weights, reduction="none")
    return _masked(errors, weight if weight is None or weight.ndim == errors.ndim else weight[:, 0])


def binary(prediction: Tensor, mask: Tensor | None = None, eps: float = 1e-2) -> Tensor:
    """Regulariser of one output: its probability is to be away from a half."""
    return _masked(1 / (torch.sigmoid(prediction) - 0.5).abs().clamp(min=eps), mask)


def foreground_and_distance(foreground: Tensor, distance: Tensor, mask: Tensor | None = None) -> Tensor:
    """Regulariser: where the signed distance is high there is foreground, and background where it is low."""
    d = torch.tanh(distance)
    errors = -functional.logsigmoid(foreground) * d.clamp(min=0) + functional.logsigmoid(-foreground) * d.clamp(max=0)
    return _masked(errors, mask)


def contour_and_distance(contour: Tensor, distance: Tensor, mask: Tensor | None = None) -> Tensor:
    """Regulariser: at contours the signed distance is 0."""
    return _masked((torch.sigmoid(contour) * torch.tanh(distance).abs()) ** 2, mask)


def foreground_and_contour(foreground: Tensor, contour: Tensor, mask: Tensor | None = None, tsz_h: int = 1,
                           eps: float = 1e-7) -> Tensor:
    """Regulariser: contours are where the foreground changes within a section, ``tsz_h`` voxels wider."""
    p = torch.sigmoid(foreground)
    padded = functional.pad(p, (1, 1, 1, 1, 0, 0))
    across, along = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2], padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    edge = torch.sqrt(across**2 + along**2 + eps).clamp(min=eps, max=1 - eps)
    edge = functional.max_pool3d(edge, (1, 2 * tsz_h + 1, 2 * tsz_h + 1), stride=1, padding=(0, tsz_h, tsz_h))
    return _masked((edge - torch.sigmoid(contour)) ** 2, mask)


def _masked(errors: Tensor, mask: Tensor | None) -> Tensor:
    return (errors if mask is None else errors * mask).mean()


LOSSES: Mapping[str, Loss] = {
    "WeightedBCEWithLogitsLoss": bce_with_logits, "WeightedBCE": bce, "DiceLoss": dice, "WSDiceLoss": weighted_soft_dice,
    "WeightedMSE": squared_error, "WeightedMAE": absolute_error, "WeightedBCEFocalLoss": focal, "WeightedCE": cross_entropy,
}
UNWEIGHTED = ("DiceLoss", "WSDiceLoss")  # take no weights
REGULARISERS: Mapping[str, tuple[Loss, int]] = {  # and of how many outputs they are
    "Binary": (binary, 1), "FgDT": (foreground_and_distance, 2), "ContourDT": (contour_and_distance, 2),
    "FgContour": (foreground_and_contour, 2),
}
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "none": lambda logits: logits, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": functional.relu,
    "leaky_relu": lambda logits: functional.leaky_relu(logits, 0.2), "elu": functional.elu,
    "softmax": lambda logits: torch.softmax(logits, 1), "sigmoid_softmax": lambda logits: torch.softmax(torch.sigmoid(logits), 1),
}
