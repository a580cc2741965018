"""The networks, samples and commands of PyTorch Connectomics."""
