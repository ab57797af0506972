"""What a module remembers beside its parameters, which every rank would remember of its own samples."""

from torch import distributed, nn

from ups_data.engine.ranks import rank_and_world
from ups_data.training.ranks.group import told_if_gone


def share_buffers(module: nn.Module) -> None:
    """Give every rank the buffers of rank 0, such as the running statistics of a BatchNorm.

    `DistributedDataParallel` does so before each step; every rank calls this where the module is used otherwise. One
    process alone has nothing to share.
    """
    if rank_and_world()[1] > 1:
        with told_if_gone():
            for buffer in module.buffers():
                distributed.broadcast(buffer, src=0)
