"""Optimizers, learning rates and averaged weights of ``SOLVER``. All of this needs PyTorch."""
