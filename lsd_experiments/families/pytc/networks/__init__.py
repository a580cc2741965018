"""The networks of PyTorch Connectomics, whose weights they load. All of this needs PyTorch."""
