"""Several processes that train one network: who this one is, and sums over all of them.

torchrun starts the processes and says so in their environment.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module

import torch
from torch import Tensor
from torch import distributed as dist

# How long the others wait at a barrier: one process may prepare data for all.
PATIENCE = timedelta(hours=6)


@dataclass(frozen=True)
class Group:
    """`size` processes, of which this is number `rank`; alone by default."""

    rank: int = 0
    size: int = 1

    @property
    def rank_slice(self) -> slice:
        """The elements of a split sequence that belong to this process."""
        return slice(self.rank, None, self.size)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes; without gradients."""
        if self.size == 1:
            return values.detach()
        total = values.detach().clone()
        dist.all_reduce(total)
        return total

    def barrier(self) -> None:
        """Wait until every process has called this."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Group, torch.device]]:
    """Join the processes that torchrun started, if it did; gives the group and this one's device.

    Processes talk by NCCL between GPUs, one each, and by Gloo between CPUs.
    """
    if int(os.environ.get('WORLD_SIZE', '1')) == 1:
        yield Group(), device
        return
    if device.type == 'cuda':
        device = torch.device('cuda', int(os.environ['LOCAL_RANK']))
        torch.cuda.set_device(device)
    # DistributedDataParallel would import it later, and imported while a group exists it keeps it.
    import_module('torch._dynamo')
    dist.init_process_group('nccl' if device.type == 'cuda' else 'gloo', timeout=PATIENCE)
    try:
        yield Group(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()
        # Gloo's threads end with the last who knows the group. In a process that ends before them,
        # one that still holds a tensor aborts it.
        gc.collect()
