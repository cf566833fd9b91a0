"""BatchNorm over the global batch, so that the number of processes does not change what is learned."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise_batch_norm(module: nn.Module, *, device: torch.device) -> nn.Module:
    """Make every BatchNorm of a module use the mean and variance of all processes' rows.

    On GPUs that is torch's `SyncBatchNorm`; it does not run on CPUs, where `CpuSyncBatchNorm2d` does the same. Names and
    shapes of weights and statistics stay.
    """
    if device.type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = CpuSyncBatchNorm2d
    return module


class CpuSyncBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose training statistics are those of all processes, `(batch, channels, height, width)`."""

    def forward(self, image: Tensor) -> Tensor:
        if not self.training:
            return super().forward(image)
        axes = (0, 2, 3)
        values = image.float()
        count = _SumOverProcesses.apply(values.new_tensor(values[:, 0].numel(), dtype=torch.float64))
        # Sums in float64, as torch's own norm does on CPUs.
        mean = (_SumOverProcesses.apply(values.sum(axes, dtype=torch.float64)) / count).float()
        centred = values - mean[:, None, None]
        # A second sum over centred values: the difference of large squares would lose the digits that matter.
        total = _SumOverProcesses.apply(centred.square().sum(axes, dtype=torch.float64))
        variance = (total / count).float()
        if self.track_running_stats:
            self._update(mean.detach(), (total.detach() / (count - 1)).float())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias[:, None, None], centred, scale[:, None, None]).to(image.dtype)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        momentum = self.momentum or 0.0
        for buffer, value in ((self.running_mean, mean), (self.running_var, variance)):
            if buffer is not None:
                buffer.lerp_(value, momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        # Every process's loss depends on this process's summand.
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


@contextmanager
def running_statistics_kept(module: nn.Module) -> Iterator[None]:
    """Inside, BatchNorm in training normalises by its batch as always but leaves the running statistics alone."""
    norms = [child for child in module.modules() if isinstance(child, _BatchNorm) and child.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
