"""Convolutions of an inference form, computed in whichever way is fastest of weights that will not change."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from smp_core.layers.forms import form_for
from smp_core.layers.known_forms import KNOWN_FORMS
from smp_core.layers.made_of import MadeOf
from smp_core.layers.products import HeldKernel
from smp_core.layers.recording import are_static, is_eager, is_recording, may_fuse
from smp_core.layers.stock import is_stock

_ASSUMED = {"stride": (1, 1), "padding_mode": "zeros", "transposed": False}


class KnownConv2d(nn.Conv2d):
    """A convolution of an inference form that has the kernel of one of `KNOWN_FORMS`, used where the table says so.

    Made by `with_kernels`. It computes what the convolution does that it was made of, from the same parameters; where
    these change, or a gradient is wanted, or a graph recorded, or torch's convolution is patched, as that does.
    """

    # See `smp_core.layers.stock.is_stock`.
    computes_as: ClassVar[type[nn.Module]] = nn.Conv2d
    # TorchScript cannot keep what is no tensor, and has no use for the kernel.
    __jit_ignored_attributes__: ClassVar[list[str]] = ["_kernel", "_kernel_of", "_form"]

    _form: str
    _kernel: HeldKernel | Tensor | None
    _kernel_of: MadeOf | None

    def forward(self, input: Tensor) -> Tensor:
        """See `torch.nn.Conv2d`."""
        if not torch.jit.is_scripting():
            found = self._by_kernel(input)
            if found is not None:
                return found
            plain: Tensor = nn.Conv2d.forward(self, input)  # which somebody may have exchanged for all
            return plain
        out: Tensor = self._conv_forward(input, self.weight, self.bias)
        return out

    @torch.jit.unused
    def _by_kernel(self, x: Tensor) -> Tensor | None:
        compiles = torch.compiler.is_compiling() and not is_recording(x)
        if torch.is_grad_enabled() or not (compiles or is_eager(x)) or not may_fuse(x):
            return None
        kernel, dilation = self._kernel, int(self.dilation[0])
        if (
            kernel is None
            or type(x) is not Tensor
            or x.dim() != 4
            or (kernel.dtype, kernel.device) != (x.dtype, x.device)
        ):
            return None
        if torch.is_autocast_enabled(x.device.type):
            return None
        if x.shape[1] != self.in_channels or not is_stock(self, nn.Conv2d, _ASSUMED) or not _pads_by(self, dilation):
            return None
        form, height, width = KNOWN_FORMS[self._form], x.shape[2], x.shape[3]
        if not form.suits(self):
            return None
        if compiles:
            return self._as_operator(x, kernel, dilation)
        if x.numel() == 0 or not form.pays(height, width, dilation):
            return None
        if _name(self, x, x.shape[0] * height * width) != self._form or self._known_kernel() is None:
            return None
        if not isinstance(kernel, Tensor):
            kernel = kernel.for_rows(form.rows_of(x, dilation))
        return form.convolve(x, kernel, self.bias, dilation)

    def _as_operator(self, x: Tensor, kernel: HeldKernel | Tensor, dilation: int) -> Tensor | None:
        """See `smp_core.layers.known_op`, which asks the rest when it runs."""
        form, sample = KNOWN_FORMS[self._form], None if self._kernel_of is None else self._kernel_of.sample
        if sample is None or not form.compiled:
            return None
        height, width, rows, threads = x.shape[2], x.shape[3], 0, 0
        if are_static(height, width):
            if not form.pays(height, width, dilation):
                return None
            if are_static(x.shape[0]):
                rows = form.rows_of(x, dilation)
        if not isinstance(kernel, Tensor):
            kernel, rows, threads = kernel.for_graph(rows)
        from smp_core.layers.known_op import known_conv2d

        out: Tensor = known_conv2d(
            x, self.weight, self.bias, kernel, sample, _layer(self), self._form, dilation, rows, threads
        )
        return out

    def _known_kernel(self) -> HeldKernel | Tensor | None:
        """The kernel, where it is that of the weight as it is now."""
        made_of = self._kernel_of
        # A weight that is pruned or parametrised is no parameter any more.
        return self._kernel if made_of is not None and made_of.is_still(self._parameters.get("weight")) else None

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        if self._known_kernel() is None:
            state.update(_kernel=None, _kernel_of=None)  # a copy cannot tell that the weight was written into
        return state


def with_kernels(model: nn.Module) -> nn.Module:
    """Put a `KnownConv2d` in the place of each convolution of a model that the table has one of `KNOWN_FORMS` for.

    Args:
        model: an inference form, in its final dtype, layout, and place; its parts are exchanged.
    """
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, part in parent._modules.items():
            if isinstance(part, nn.Conv2d) and part not in made:
                form = _name_for(part)
                if form is not None:
                    made[part] = _with_kernel(part, form)
            if part in made:
                parent._modules[name] = made[part]
    return model


def _name_for(conv: nn.Conv2d) -> str | None:
    """Of the form that a convolution gets the kernel of."""
    if not is_stock(conv, nn.Conv2d, _ASSUMED) or not _pads_by(conv, int(conv.dilation[0])):
        return None
    if conv.weight.is_meta or not conv.weight.is_contiguous(memory_format=torch.channels_last):
        return None
    # Asked as of a map that is large enough.
    like = conv.weight.new_empty(1, 2, 2, conv.in_channels).permute(0, 3, 1, 2)
    with torch.no_grad():
        name = _name(conv, like, sys.maxsize)
    return name if name in KNOWN_FORMS and KNOWN_FORMS[name].suits(conv) else None


def _name(conv: nn.Conv2d, x: Tensor, pixels: int) -> str:
    return form_for(_layer(conv), x, pixels, min(conv.in_channels, conv.out_channels))


def _layer(conv: nn.Conv2d) -> str:
    """The convolution's name in the table of forms."""
    if conv.kernel_size == (1, 1):
        return "known_conv1x1"
    if conv.groups > 1:
        return "known_depthwise_conv3x3"
    return "known_conv3x3" if conv.dilation[0] == 1 else "known_dilated_conv3x3"


def _pads_by(conv: nn.Conv2d, dilation: int) -> bool:
    """Whether the result has the size of the map."""
    if conv.kernel_size == (1, 1):
        return conv.padding == (0, 0)
    reach = (dilation, dilation)
    return conv.kernel_size == (3, 3) and tuple(conv.dilation) == reach and conv.padding == reach


def _with_kernel(conv: nn.Conv2d, form: str) -> KnownConv2d:
    made = KnownConv2d.__new__(KnownConv2d)
    made.__dict__.update(conv.__dict__)
    made._form = form
    made._kernel = KNOWN_FORMS[form].hold(conv.weight.detach())
    made._kernel_of = MadeOf(conv.weight)
    return made
