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
        training = self.training or self.running_mean is None
        if self.training and self.running_mean is not None and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            training = False
        mean, variance = self.running_mean, self.running_var
        if self.training and not self.track_running_stats:
            mean, variance = None, None
        return functional.batch_norm(
            x, mean, variance, self.weight, self.bias, training, self._moved(training), self.eps
        )

    def _moved(self, training: bool) -> float:
        """Count the batch, and return by how much it moves the running statistics. TorchScript knows no ``super()``."""
        momentum = self.momentum
        if training and self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:  # the mean of all batches so far
                return 1.0 / float(self.num_batches_tracked)
        return 0.0 if momentum is None else float(momentum)


class PooledInstanceNorm2d(nn.InstanceNorm2d):
    """Instance normalisation that takes one pixel: (N, C, H, W), same out. Ulyanov et al., arXiv:1607.08022.

    One value less its own mean is zero, so a pooled pixel becomes the bias, whatever it was.

    >>> PooledInstanceNorm2d(8)(torch.zeros(1, 8, 1, 1)).shape
    torch.Size([1, 8, 1, 1])
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] * x.shape[3] > 1:
            own = self.training or not self.track_running_stats
            momentum = 0.0 if self.momentum is None else float(self.momentum)  # as torch's own does
            return functional.instance_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, own, momentum, self.eps
            )
        x = torch.zeros_like(x)
        return x if self.bias is None else x + self.bias.view(1, -1, 1, 1)
