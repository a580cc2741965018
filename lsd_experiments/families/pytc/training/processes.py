"""The processes of a training, each with a part of every batch: one alone, or as many as torchrun started."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import Config

STARTED_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Processes:
    """This one is number ``rank`` of ``size``, and computes on ``device``."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def average_gradients(self, network: nn.Module) -> None:
        """Make the gradients of all processes their mean: that of the whole batch, of which each had as large a part."""
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def total(self, values: list[float]) -> list[float]:
        """The sums over all processes, the same in each."""
        if self.size == 1:
            return values
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(sums)
        found: list[float] = sums.tolist()
        return found

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            distributed.barrier()

    def same_state(self, network: nn.Module) -> None:
        """Give all processes the weights and running means of the one that leads."""
        if self.size > 1:
            for tensor in network.state_dict().values():
                distributed.broadcast(tensor, 0)


@contextmanager
def processes(config: Config, local_rank: int | None = None, environment: Mapping[str, str] = os.environ) -> Iterator[Processes]:
    """This process alone, or with ``SYSTEM.DISTRIBUTED`` as one of those that torchrun started; ``LOCAL_RANK`` is its GPU.

    :param local_rank: of torch.distributed.launch, where the environment has none
    :raises UserError: if torchrun did not start it
    """
    local = int(environment.get("LOCAL_RANK", local_rank or 0))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    missing = [name for name in STARTED_BY_TORCHRUN if name not in environment]
    if config.SYSTEM.DISTRIBUTED and missing:
        raise UserError(f"--distributed: {missing[0]} is not set, as torchrun does. Start it so: torchrun --nproc_per_node=2 "
                        "main.py --distributed ...")
    with joined(device, config.SYSTEM.DISTRIBUTED, config.SYSTEM.DISTRIBUTED_BACKEND, "--distributed") as group:
        yield group


@contextmanager
def joined(device: torch.device, distributed_too: bool, backend: str = "nccl", key: str = "torchrun") -> Iterator[Processes]:
    """This process, on ``device``, alone or as one of those that torchrun started.

    :param backend: of GPUs; others talk by gloo
    :param key: what messages begin with
    :raises UserError: if the device is a GPU that there is not
    """
    if device.type == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            there = torch.cuda.device_count()
            raise UserError(f"{key}: process {device.index or 0} has no GPU of its own, there are {there}. Start "
                            "as many processes as there are: torchrun --nproc_per_node")
        torch.cuda.set_device(device)
    if not distributed_too:
        yield Processes(device)
        return
    distributed.init_process_group(backend if device.type == "cuda" else "gloo")  # nccl is for GPUs alone
    try:
        yield Processes(device, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def numbers(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Tensors of one number each as numbers, brought from their device at once."""
    if not tensors:
        return {}
    return dict(zip(tensors, torch.stack([tensor.float() for tensor in tensors.values()]).tolist(), strict=True))
