"""Train a 3-D U-Net on nuclei and endoplasmic reticulum, as the challenge's example does.

    csc make-datasplit                # once: datasplit.csv, of the crops in data/
    python train_3D.py                # the same: csc train train_3D.py; after an interruption it goes on
    tensorboard --logdir tensorboard

All parameters, and what holds without them: docs/cellmap.md. Then: predict_3D.py, process_3D.py.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments.families.cellmap.networks import UNet_3D  # or ResNet, ViTVNet

classes = ["nuc", "er"]

# A patch of raw, and of labels: voxels along z, y, x, and their size in nm.
input_array_info = {"shape": (128, 128, 128), "scale": (8, 8, 8)}
target_array_info = {"shape": (128, 128, 128), "scale": (8, 8, 8)}

# Any torch.nn.Module that gives a channel of logits for each class.
model_name = "3d_unet"  # in the names of checkpoints and logs
model = UNet_3D(1, len(classes))
# model_name, model = "3d_resnet", ResNet(ndims=3, output_nc=len(classes))
load_model = "latest"  # what a training goes on from, and predictions are made with; or "best"

learning_rate = 0.0001
batch_size = 3
epochs = 1000  # in total; at the end of each comes a validation, and a checkpoint
iterations_per_epoch = 1000  # batches
random_seed = 42

spatial_transforms = {
    "mirror": {"axes": {"x": 0.5, "y": 0.5, "z": 0.1}},  # with which probability
    "transpose": {"axes": ["x", "y", "z"]},
    "rotate": {"axes": {"x": [-180, 180], "y": [-180, 180], "z": [-180, 180]}},  # about these axes, by degrees
}

if __name__ == "__main__":
    from lsd_experiments.families.cellmap import command

    command.main(["train", __file__, *sys.argv[1:]])
