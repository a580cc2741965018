"""Two processes, each with half of a batch, and one with all of it: the same outputs, gradients and running means."""

import sys

import pytest

from tests.families.pytc.models import described

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from lsd_experiments.families.pytc.networks.building import build  # noqa: E402
from lsd_experiments.families.pytc.networks.synchronised import SyncBatchNorm, synchronised  # noqa: E402

MODEL = {"NORM_MODE": "sync_bn", "BLOCK_TYPE": "residual_se", "FILTERS": [4, 5], "ISOTROPY": [False, True]}
CHILD = """
import json, sys
sys.path.insert(0, {root!r})
import torch
from torch import distributed
from tests.families.pytc import test_synchronised as test
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method="file://{place}", rank={rank}, world_size=2)
network = test.synchronised(test.network())
output = network(test.batch()[{rank}::2])
loss = test.loss(output) / 2
loss.backward()
for parameter in network.parameters():
    distributed.all_reduce(parameter.grad)
torch.save({{"output": output.detach(), "gradients": [p.grad for p in network.parameters()], "state": network.state_dict()}},
           {out!r})
"""


def network():
    torch.manual_seed(4)
    return build(described(**MODEL)).train()


def batch():
    return torch.randn(4, 1, 3, 9, 9, generator=torch.Generator().manual_seed(6)) * 2 + 1


def loss(output):
    return (output.flatten(1).mean(1) ** 2 + output.flatten(1).var(1)).mean()


def test_two_processes_are_one(tmp_path):
    import subprocess
    from pathlib import Path

    root = str(Path(__file__).parents[3])
    outs = [str(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    children = [subprocess.Popen([sys.executable, "-c", CHILD.format(root=root, place=tmp_path / "meet", rank=rank, out=out)])
                for rank, out in enumerate(outs)]
    whole = network()
    output = whole(batch())
    loss(output).backward()
    alone = synchronised(network())(batch()[::2])
    assert [child.wait() for child in children] == [0, 0]
    for rank, out in enumerate(outs):
        found = torch.load(out, weights_only=True)
        torch.testing.assert_close(found["output"], output.detach()[rank::2], rtol=1e-4, atol=1e-5)
        for first, second in zip(found["gradients"], whole.parameters(), strict=True):
            torch.testing.assert_close(first, second.grad, rtol=1e-3, atol=1e-5)
        for name, tensor in whole.state_dict().items():
            torch.testing.assert_close(found["state"][name], tensor, rtol=1e-4, atol=1e-6)
    assert (alone.detach() - output.detach()[::2]).abs().max() > 0.01, "half of the batch by itself gives something else"


def test_in_one_process_it_is_a_batch_norm():
    first, second = network(), synchronised(network())
    assert list(first.state_dict()) == list(second.state_dict())
    assert not any(type(module) is torch.nn.BatchNorm3d for module in second.modules())
    assert sum(isinstance(module, SyncBatchNorm) for module in second.modules()) == 10
    for one in (first, second):
        one(batch())
        one.eval()
    with torch.no_grad():
        assert torch.equal(first(batch()), second(batch()))
