"""The Keras model of a network.

Layers carry the names of the published checkpoints (without their scope), so that weights move between backends,
checkpoints and frameworks by name. Kernels are (z, y, x, in, out), transposed ones (z, y, x, out, in), as in TensorFlow 1.
"""

from collections.abc import Sequence

import keras
from keras import layers

from lsd_experiments.networks.layers import entry_up
from lsd_experiments.networks.network import CONVOLUTIONS, KERNEL, Network, Shape
from lsd_experiments.networks.processor import warn_if_slow
from lsd_experiments.winograd.layer import WinogradConv3D, pays

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def build_model(network: Network, input_shape: Sequence[int], precision: str = "float32", quick: bool = False) -> keras.Model:
    """See :meth:`Network.build`."""
    network.check_input_shape(input_shape)
    policy = POLICIES[precision]
    warn_if_slow(precision)
    inputs = {i.name: keras.Input((*input_shape, i.channels), name=i.name) for i in network.inputs}
    x = _concatenate(list(inputs.values()), "inputs")
    _, exits = network.level_sizes(input_shape)

    def convolutions(x: keras.KerasTensor, name: str, fmaps: int) -> keras.KerasTensor:
        return _convolutions(x, name, fmaps, network.unet.activation, policy, quick)

    skips = []
    for level, factor in enumerate(network.downsample_factors):
        x = convolutions(x, f"unet_layer_{level}_left", network.fmaps(level))
        skips.append(x)
        x = layers.MaxPooling3D(factor, strides=factor, dtype=policy, name=f"unet_down_{level}_to_{level + 1}")(x)
    x = convolutions(x, f"unet_layer_{network.levels - 1}_left", network.fmaps(network.levels - 1))
    for level in reversed(range(network.levels - 1)):
        factor = network.downsample_factors[level]
        x = layers.Conv3DTranspose(
            network.up_fmaps(level),
            factor,
            strides=factor,
            activation=network.unet.up_activation,
            dtype=policy,
            name=f"unet_up_{level + 1}_to_{level}",
        )(x)
        entry = entry_up(exits[level])
        x = _crop_to(x, entry, f"unet_up_crop_{level}")
        x = _concatenate([_crop_to(skips[level], entry, f"unet_crop_{level}"), x], f"unet_concat_{level}")
        fmaps = network.num_fmaps_out if level == 0 and network.num_fmaps_out else network.fmaps(level)
        x = convolutions(x, f"unet_layer_{level}_right", fmaps)
    outputs = {
        head.name: layers.Conv3D(
            head.channels, 1, activation="sigmoid", dtype="float32", name=f"{head.published_name}_0"
        )(x)
        for head in network.heads
    }
    return keras.Model(inputs, outputs, name="unet")


def _convolutions(
    x: keras.KerasTensor, name: str, fmaps: int, activation: str, policy: str, quick: bool
) -> keras.KerasTensor:
    for index in range(CONVOLUTIONS):
        arguments = {"activation": activation, "dtype": policy, "name": f"{name}_{index}"}
        if quick and pays(x.shape[1:], fmaps, policy):
            x = WinogradConv3D(fmaps, **arguments)(x)
        else:
            x = layers.Conv3D(fmaps, KERNEL, **arguments)(x)
    return x


def _crop_to(x: keras.KerasTensor, shape: Shape, name: str) -> keras.KerasTensor:
    """The centre of ``x``, of ``shape``; of an odd surplus the smaller half comes off the front."""
    surplus = [a - b for a, b in zip(x.shape[1:4], shape, strict=True)]
    cropping = tuple((s // 2, s - s // 2) for s in surplus)
    return layers.Cropping3D(cropping, name=name)(x) if any(surplus) else x


def _concatenate(tensors: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    return tensors[0] if len(tensors) == 1 else layers.Concatenate(name=name)(tensors)
