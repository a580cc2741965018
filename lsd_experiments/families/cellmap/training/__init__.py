"""``csc train``: batches, network, optimizer and schedule of a configuration, in one process or several. Needs PyTorch."""
