"""The networks of the challenge's toolbox, under its names, so that its configurations and weights are taken. Needs PyTorch."""

from lsd_experiments.families.cellmap.networks.building import NAMES, build
from lsd_experiments.families.cellmap.networks.outputs import together
from lsd_experiments.families.cellmap.networks.resnet import ResNet, Resnet2D, Resnet3D
from lsd_experiments.families.cellmap.networks.unet import UNet_2D, UNet_3D
from lsd_experiments.families.cellmap.networks.vitnet import ViTVNet

__all__ = ["NAMES", "ResNet", "Resnet2D", "Resnet3D", "UNet_2D", "UNet_3D", "ViTVNet", "build", "together"]
