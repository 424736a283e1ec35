"""Several processes that see one batch: batch norm and losses over all of it, not over each process's share.

With one process everything here leaves things as they are.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world_size() -> int:
    """How many processes share the work (1 without a group)."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _Sum(torch.autograd.Function):
    """The sum over processes; so is its gradient, and that one's."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:  # type: ignore[override]
        return _Sum.apply(slope)


def gathered(own: Tensor) -> Tensor:
    """The processes' shares (n, ...) one after the other, with gradients; where there is one process its own.

    A loss of the whole batch, computed by every process from this, has the whole batch's gradient once
    `DistributedDataParallel` has averaged: each process's share of it comes back once from every process.
    """
    if world_size() == 1:
        return own
    parts = [torch.zeros_like(own)] * world_size()
    parts[dist.get_rank()] = own
    return _Sum.apply(torch.cat(parts))


class _Whole:
    """Batch norm whose statistics are the whole batch's; torch's own SyncBatchNorm wants GPUs."""

    def forward(self: Any, x: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(x)  # type: ignore[misc]
        count = x.numel() // x.shape[1] * world_size()
        shape, over = (-1, *[1] * (x.dim() - 2)), (0, *range(2, x.dim()))
        mean = _Sum.apply(x.sum(over)) / count
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(over)) / count
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                self.num_batches_tracked += 1  # type: ignore[operator]
                rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
                self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), rate)
        normed = centred * (variance + self.eps).rsqrt().view(shape)
        return normed if self.weight is None else normed * self.weight.view(shape) + self.bias.view(shape)


class WholeBatchNorm1d(_Whole, nn.BatchNorm1d):
    """Of vectors (N, C)."""


class WholeBatchNorm2d(_Whole, nn.BatchNorm2d):
    """Of maps (N, C, H, W)."""


WHOLE = {nn.BatchNorm1d: WholeBatchNorm1d, nn.BatchNorm2d: WholeBatchNorm2d}


def over_the_whole_batch(model: Any) -> None:
    """Batch norms of a model see the whole batch from now on, where several processes share it."""
    if world_size() == 1:
        return
    for layer in model.modules():
        if type(layer) in WHOLE:
            layer.__class__ = WHOLE[type(layer)]  # the same parameters and buffers, which optimisers know already
