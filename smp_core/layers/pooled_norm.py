"""Norms for maps that were pooled to one pixel, where a batch of one image leaves one value a channel.

Statistics of one value mean nothing, so torch refuses to train on it. These norms have the parameters and keys of the
plain ones and equal them wherever those work; every decoder that normalises a pooled branch is built with them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class PooledBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that takes one value a channel: (N, C, H, W), same out. Ioffe & Szegedy, arXiv:1502.03167.

    In training, where N, H and W are all 1, it normalises with the running statistics and leaves them as they are.

    >>> PooledBatchNorm2d(8).train()(torch.zeros(1, 8, 1, 1)).shape
    torch.Size([1, 8, 1, 1])
    """

    def forward(self, x: Tensor) -> Tensor:
        uses_running = self.track_running_stats or not self.training
        return _batch_norm(
            x,
            self.running_mean if uses_running else None,
            self.running_var if uses_running else None,
            self.num_batches_tracked if uses_running and self.training else None,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )


class PooledInstanceNorm2d(nn.InstanceNorm2d):
    """Instance normalisation that takes one pixel: (N, C, H, W), same out. Ulyanov et al., arXiv:1607.08022.

    One value less its own mean is zero, so a pooled pixel becomes the bias, whatever it was.

    >>> PooledInstanceNorm2d(8)(torch.zeros(1, 8, 1, 1)).shape
    torch.Size([1, 8, 1, 1])
    """

    def forward(self, x: Tensor) -> Tensor:
        return _instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else float(self.momentum),  # as torch's own does
            self.eps,
        )


# What depends on the size of a map is asked when a map comes: to `torch.fx` each of these is one operation.
torch.fx.wrap("_batch_norm")
torch.fx.wrap("_instance_norm")


def _batch_norm(
    x: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    num_batches: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float | None,
    eps: float,
) -> Tensor:
    """As the class says; the number of batches so far is None where it is not to be counted."""
    if training and mean is not None and x.shape[0] * x.shape[2] * x.shape[3] == 1:
        training, num_batches = False, None
    moved = 0.0 if momentum is None else float(momentum)
    if num_batches is not None:
        num_batches.add_(1)
        if momentum is None:  # the mean of all batches so far
            moved = 1.0 / float(num_batches)
    return functional.batch_norm(x, mean, variance, weight, bias, training or mean is None, moved, eps)


def _instance_norm(
    x: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    own: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """As the class says, by the image's own statistics or by the running ones."""
    if x.shape[2] * x.shape[3] > 1:
        return functional.instance_norm(x, mean, variance, weight, bias, own, momentum, eps)
    x = torch.zeros_like(x)
    return x if bias is None else x + bias.view(1, -1, 1, 1)
