"""A fixture of tests with PyTorch: one thread."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small networks are not faster with more, least of all beside other tests."""
    try:
        import torch
    except ImportError:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
