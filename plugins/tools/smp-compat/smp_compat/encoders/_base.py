"""What encoders written for segmentation_models_pytorch inherit from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from smp_core.tensors.channels import fit_weight

__all__ = ["EncoderMixin"]


class EncoderMixin:
    """The attributes and methods that segmentation_models_pytorch gives to an encoder, to inherit beside a module.

    Attributes:
        _out_channels: channels of the features at full depth, the input first; 0 for a level that is not there.
        _depth: how many features beyond the input there are.
        _in_channels: channels of the input.
        _output_stride: of the deepest feature, before dilation.
    """

    _out_channels: Sequence[int]

    def __init__(self) -> None:
        self._depth = 5
        self._in_channels = 3
        self._output_stride = 32

    @property
    def out_channels(self) -> Sequence[int]:
        """Channels of the features that there are, the input first."""
        return self._out_channels[: self._depth + 1]

    @property
    def output_stride(self) -> int:
        """Reduction of the deepest feature."""
        return int(min(self._output_stride, 2**self._depth))

    def set_in_channels(self, in_channels: int, pretrained: bool = True) -> None:
        """Make the first convolution of 3 channels one of others.

        Args:
            in_channels: wanted.
            pretrained: whether its weight is made to fit, see `smp_core.tensors.channels.fit_weight`, or drawn anew.
        """
        if in_channels == 3:
            return
        self._in_channels = in_channels
        if self._out_channels[0] == 3:
            self._out_channels = [in_channels, *self._out_channels[1:]]
        found = first_convolution(self, 3)
        if found is not None:
            take_channels(found, in_channels, pretrained)

    def get_stages(self) -> Mapping[int, Sequence[nn.Module]]:
        """The modules that bring the features to a reduction of 16, and to one of 32, for dilation."""
        raise NotImplementedError(f"{type(self).__name__} does not say which modules its stages are: get_stages")

    def make_dilated(self, output_stride: int) -> None:
        """Keep the features at a reduction by dilation (Yu & Koltun, arXiv:1511.07122).

        Args:
            output_stride: 8 or 16.

        Raises:
            ValueError: another one.
        """
        if output_stride not in (8, 16):
            raise ValueError(f"the output stride must be 8 or 16, got {output_stride}")
        for stride, modules in _by_stride(self.get_stages()).items():
            if stride > output_stride:
                for module in modules:
                    replace_strides_with_dilation(module, stride // output_stride)


def _by_stride(stages: Any) -> dict[int, Sequence[nn.Module]]:
    """Stages by their reductions; before 0.5.0 they were a list, one for every feature, the input first."""
    if isinstance(stages, Mapping):
        return dict(stages)
    return {2**level: [stage] for level, stage in enumerate(stages) if level >= 4}


def first_convolution(module: object, in_channels: int) -> nn.Conv2d | None:
    """The first convolution of so many channels; None where there is none."""
    assert isinstance(module, nn.Module)
    layers = (layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
    return next((layer for layer in layers if layer.in_channels == in_channels), None)


def take_channels(layer: nn.Conv2d, in_channels: int, pretrained: bool) -> None:
    """Change a convolution to other input channels; its weight is made to fit, or drawn anew."""
    layer.in_channels = in_channels
    if pretrained:
        layer.weight = nn.Parameter(fit_weight(layer.weight.detach(), in_channels))
    else:
        layer.weight = nn.Parameter(
            layer.weight.new_empty(layer.out_channels, in_channels // layer.groups, *layer.kernel_size)
        )
        layer.reset_parameters()


def replace_strides_with_dilation(module: nn.Module, dilation_rate: int) -> None:
    """Give every convolution of a module stride 1, a dilation, and the padding that keeps the size."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            rows, columns = layer.kernel_size
            layer.stride = (1, 1)
            layer.dilation = (dilation_rate, dilation_rate)
            layer.padding = ((rows // 2) * dilation_rate, (columns // 2) * dilation_rate)
