"""Inference: patches of padded volumes, turned, blended, and written as PyTorch Connectomics does."""
