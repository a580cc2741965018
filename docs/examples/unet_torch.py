"""The published U-Nets as a plain PyTorch module; needs torch and safetensors, and nothing of this repository.

    from unet_torch import load
    unet = load("mtlsd.safetensors")            # written by 02_train/export_checkpoint.py
    with torch.inference_mode():
        affs = unet(raw)["affs"]                # raw: [n, 1, z, y, x] float32, uint8 / 127.5 - 1

Inputs and outputs are [n, c, z, y, x] float32; LSDs, as inputs too, and affinities are in [0, 1]. As a command, this
prints the layers:

    python unet_torch.py mtlsd.safetensors
"""

import argparse
import json
import math

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F


class UNet(nn.Module):
    """``network``: the JSON values in an exported file. Its layers have the names of the published checkpoints."""

    def __init__(self, network: dict) -> None:
        super().__init__()
        self.factors = [tuple(factor) for factor in network["downsample_factors"]]
        self.inputs = {source["name"]: source["channels"] for source in network["inputs"]}
        self.heads = {head["name"]: f"{head['checkpoint_name'] or head['name']}_0" for head in network["heads"]}
        fmaps = [network["num_fmaps"] * network["fmap_inc_factor"] ** level for level in range(len(self.factors) + 1)]
        fmaps_out = network["num_fmaps_out"] or fmaps[0]
        self.of_funlib = network["architecture"] == "funlib"  # not mala's
        channels = sum(self.inputs.values())
        for level, width in enumerate(fmaps):
            self._add_convolutions(f"unet_layer_{level}_left", channels, width)
            channels = width
        for level in reversed(range(len(self.factors))):
            factor, width = self.factors[level], fmaps[level]
            up = fmaps[level + 1] if self.of_funlib else width
            self.add_module(f"unet_up_{level + 1}_to_{level}", nn.ConvTranspose3d(fmaps[level + 1], up, factor, stride=factor))
            self._add_convolutions(f"unet_layer_{level}_right", width + up, width if level else fmaps_out)
        for head in network["heads"]:
            self.add_module(self.heads[head["name"]], nn.Conv3d(fmaps_out, head["channels"], 1))

    def _add_convolutions(self, name: str, channels_in: int, channels_out: int) -> None:
        self.add_module(f"{name}_0", nn.Conv3d(channels_in, channels_out, 3))
        self.add_module(f"{name}_1", nn.Conv3d(channels_out, channels_out, 3))

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """The heads' outputs, by name; ``inputs`` are in the order of ``self.inputs``."""
        x = torch.cat(inputs, dim=1)
        skips = []
        for level, factor in enumerate(self.factors):
            x = self._convolve(x, f"unet_layer_{level}_left")
            skips.append(x)
            x = F.max_pool3d(x, factor)  # drops what is left over
        x = self._convolve(x, f"unet_layer_{len(self.factors)}_left")
        for level in reversed(range(len(self.factors))):
            x = self.get_submodule(f"unet_up_{level + 1}_to_{level}")(x)
            x = crop(x, self._to_stride(x, level)) if self.of_funlib else F.relu(x)
            x = torch.cat([crop(skips[level], x.shape[2:]), x], dim=1)
            x = self._convolve(x, f"unet_layer_{level}_right")
        return {name: torch.sigmoid(self.get_submodule(layer)(x)) for name, layer in self.heads.items()}

    def _convolve(self, x: torch.Tensor, name: str) -> torch.Tensor:
        activation = F.relu6 if self.of_funlib else F.relu
        x = activation(self.get_submodule(f"{name}_0")(x))
        return activation(self.get_submodule(f"{name}_1")(x))

    def _to_stride(self, x: torch.Tensor, level: int) -> tuple[int, ...]:
        """The largest shape that two convolutions bring to a multiple of the voxels that the lowest level's ones span here."""
        strides = [math.prod(factor[axis] for factor in self.factors[level:]) for axis in range(3)]
        return tuple((size - 4) // step * step + 4 for size, step in zip(x.shape[2:], strides, strict=True))


def crop(x: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The centre of ``x``, of ``shape``; of an odd surplus the smaller half comes off the front."""
    for axis, size in enumerate(shape, start=2):
        x = x.narrow(axis, (x.shape[axis] - size) // 2, size)
    return x


def load(path: str, device: str = "cpu") -> UNet:
    """The network in a file that ``export_checkpoint.py`` wrote, ready for inference."""
    with safe_open(path, framework="pt", device=device) as file:
        with torch.device("meta"):  # no memory for weights that are replaced at once
            unet = UNet(json.loads(file.metadata()["network"]))
        unet.load_state_dict({name: file.get_tensor(name) for name in file.keys()}, assign=True)  # noqa: SIM118
    return unet.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE.safetensors")
    print(load(parser.parse_args().file))
