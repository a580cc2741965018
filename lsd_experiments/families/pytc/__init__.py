"""Neuron segmentation of SNEMI3D and its relatives, after PyTorch Connectomics."""
