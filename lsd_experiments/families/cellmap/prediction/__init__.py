"""``csc predict``: every voxel of crops of any size, from overlapping patches, by worker processes. Needs PyTorch."""
