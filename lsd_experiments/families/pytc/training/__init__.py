"""Training of ``main.py``: samples, network and optimizer of a configuration, in one process or several. Needs PyTorch."""
