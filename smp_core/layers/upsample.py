"""Upsample, concatenate, convolve: the step that U-shaped decoders repeat at every level.

Written down plainly, ``conv(cat([upsample(x), skip]))`` stores the upsampled map and the concatenation, both at the
higher resolution, and multiplies nine times for every input that nearest-neighbour upsampling has only repeated.
Two identities avoid that:

* a convolution is linear in its input channels: ``conv(cat([u, s])) = conv_u(u) + conv_s(s)`` with the weight split;
* a 3x3 convolution of a map upsampled twofold by nearest neighbour is one 4x4 transposed convolution of stride 2 and
  padding 1, whose kernel is the flipped 3x3 kernel summed over its four shifts.

The parameters stay those of the plain 3x3 convolution, so every checkpoint fits either form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core._specs.kinds import INTERPOLATIONS
from smp_core.errors import OptionError
from smp_core.layers.conv import ConvNormAct
from smp_core.layers.forms import form_for
from smp_core.layers.kernels import kernel_for
from smp_core.layers.known_parts import KnownParts
from smp_core.layers.made_of import MadeOf
from smp_core.layers.norm import Norm
from smp_core.layers.packing import PackedKernel
from smp_core.layers.recording import are_static, is_eager, is_recording
from smp_core.layers.stock import CONV3X3, Fusing, is_stock

if TYPE_CHECKING:
    from smp_core.inference.protocol import Walk


def check_interpolation(mode: str) -> str:
    """Return the mode if `torch.nn.functional.interpolate` takes it for maps.

    Raises:
        OptionError: it does not.
    """
    if mode not in INTERPOLATIONS:
        raise OptionError(f"unknown interpolation {mode!r}; expected one of {', '.join(INTERPOLATIONS)}")
    return mode


def transposed_kernel(weight: Tensor) -> Tensor:
    """The 4x4 kernel whose stride-2 transposed convolution equals upsampling twofold and convolving with ``weight``.

    Args:
        weight: (out_channels, in_channels, 3, 3).

    Returns:
        (in_channels, out_channels, 4, 4), the layout of `torch.nn.functional.conv_transpose2d`.
    """
    # Which places of an axis of the 4x4 window a place of the 3x3 kernel reaches: flipped, and shifted by one.
    reach = torch.tensor(
        [[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]], dtype=weight.dtype, device=weight.device
    )
    spread = (reach[:, None, :, None] * reach[None, :, None, :]).reshape(9, 16)
    # One small matrix product: for the many channels of the deepest levels it takes a tenth of the time of adding up
    # padded copies, which there is as long as the convolution itself.
    kernel = weight.reshape(-1, 9) @ spread
    return kernel.view(weight.shape[0], weight.shape[1], 4, 4).transpose(0, 1)


def upsample_concat(
    x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None, mode: str
) -> Tensor:
    """The plain form's map: ``x`` upsampled, and the skips behind it, (N, up + skip channels, height, width).

    Args:
        x: (N, up_channels, h, w).
        skip: (N, skip_channels, height, width), or None.
        height, width: size of the result.
        dense: further skips, which precede ``skip``.
        mode: one of `INTERPOLATIONS`.
    """
    x = functional.interpolate(x, size=[height, width], mode=mode)
    maps = [x]
    if dense is not None:
        maps.extend(dense)
    if skip is not None:
        maps.append(skip)
    return x if len(maps) == 1 else torch.cat(maps, dim=1)


def is_transposed(x: Tensor, height: int, width: int, mode: str, is_known: bool = False, channels: int = 0) -> bool:
    """Whether `convolve_transposed` may stand for a convolution of what `upsample_concat` makes, and is faster.

    Args:
        x, height, width, mode: as for `upsample_concat`.
        is_known: whether the kernel has been computed already.
        channels: that the convolution takes.
    """
    # An exported graph keeps the plain form: it holds for every size, and runtimes differ in what they do fast.
    if mode != "nearest" or is_recording(x):
        return False
    if not torch.jit.is_scripting():
        if form_for(_layer(is_known), x, x.shape[0] * height * width, channels) not in ("transposed", "packed"):
            return False
    elif x.device.type != "cpu":
        return False
    return _is_twofold(x, height, width)


def _layer(is_known: bool) -> str:
    """The name of this layer in the table of forms."""
    return "known_upsample_conv3x3" if is_known else "upsample_conv3x3"


def _channels_taken(weight: Tensor) -> int:
    """By a convolution of this weight."""
    return weight.shape[1]


def _is_twofold(x: Tensor, height: int, width: int) -> bool:
    """Whether the size is twice that of a map, or one less where the skip's size is odd."""
    # One comparison an axis, so that a compiled graph has one guard for both.
    return 0 <= 2 * x.shape[2] - height <= 1 and 0 <= 2 * x.shape[3] - width <= 1


def convolve_transposed(
    x: Tensor,
    skip: Tensor | None,
    height: int,
    width: int,
    dense: list[Tensor] | None,
    kernel: Tensor,
    bias: Tensor | None,
    transposed: Tensor | None = None,
    enlarged: Tensor | None = None,
    rest: Tensor | None = None,
) -> Tensor:
    """A 3x3 convolution, padded by 1, of what `upsample_concat` makes with ``nearest``, where `is_transposed`.

    Args:
        x, skip, height, width, dense: as for `upsample_concat`.
        kernel: (out_channels, up + skip channels, 3, 3).
        bias: (out_channels,), or None.
        transposed: `transposed_kernel` of the part of ``kernel`` for ``x``, where it is known already.
        enlarged: the transposed convolution of ``x``, with the bias if there is no skip, where it is known already.
        rest: that of the skips together, likewise.

    Returns:
        (N, out_channels, height, width)
    """
    start = x.shape[1]
    weight = kernel[:, :start]
    if enlarged is None:
        if transposed is None:
            transposed = transposed_kernel(weight)
        enlarged = functional.conv_transpose2d(x, transposed, None if skip is not None else bias, stride=2, padding=1)
    out = _crop(enlarged, x, weight, height, width)
    if rest is not None:
        out += rest
        return out
    # One convolution for each: cheaper than a concatenation of them, and none is kept for the backward pass.
    if dense is not None:
        for item in dense:
            end = start + item.shape[1]
            out += functional.conv2d(item, kernel[:, start:end], padding=1)
            start = end
    if skip is not None:
        out += functional.conv2d(skip, kernel[:, start:], bias, padding=1)
    return out


def _crop(out: Tensor, x: Tensor, weight: Tensor, height: int, width: int) -> Tensor:
    """Cut the result to an odd size.

    The plain form pads the cropped map with zeros, where the transposed form sees one more row and column of the
    upsampled map; what these add to the last row and column is taken back.
    """
    extra_rows = 2 * x.shape[2] - height
    extra_columns = 2 * x.shape[3] - width
    # Under compilation the sizes may be symbols. One graph then serves even and odd ones: the correction is multiplied
    # by 0 or 1, and the map is copied, as a slice would be guarded for whether it is contiguous.
    always = False
    if not torch.jit.is_scripting():
        always = torch.compiler.is_compiling() and not are_static(height, width, x.shape[2], x.shape[3])
    if always:
        out = functional.pad(out, [0, -extra_columns, 0, -extra_rows])
    elif extra_rows == 0 and extra_columns == 0:
        return out
    else:
        out = out[:, :, :height, :width]
    # By index, not by slice, for the same reason.
    if always or extra_columns > 0:
        column = x[:, :, :, -1:].index_select(2, torch.arange(height, device=x.device) // 2)
        column = functional.conv2d(column, weight[:, :, :, 2:], padding=[1, 0]) * extra_columns
        out = _subtract(out, column, width - 1, 0, always)
    if always or extra_rows > 0:
        row = x[:, :, -1:].index_select(3, torch.arange(width, device=x.device) // 2)
        row = functional.conv2d(row, weight[:, :, 2:], padding=[0, 1]) * extra_rows
        out = _subtract(out, row, 0, height - 1, always)
    if always or (extra_rows > 0 and extra_columns > 0):
        corner = functional.linear(x[:, :, -1, -1], weight[:, :, 2, 2])[:, :, None, None]
        out = _subtract(out, corner * (extra_rows * extra_columns), width - 1, height - 1, always)
    return out


def _subtract(out: Tensor, border: Tensor, left: int, above: int, compiled: bool) -> Tensor:
    """The last rows and columns of a map less ``border``, which begins at ``left`` and ``above``.

    A compiler takes up the zeros that the border is padded with; it compiles what is written into a slice as well, but
    not, in torch 2.14, for symbolic sizes with frozen weights.
    """
    if compiled:
        return out - functional.pad(border, [left, 0, above, 0])
    out[:, :, above:, left:] -= border
    return out


class UpsampleConcatBlock(Fusing):
    """Base of decoder blocks whose ``conv1`` convolves an upsampled map and a skip, neither of which need be stored.

    A subclass makes ``conv1`` with `join`, where its keys have their place: a `ConvNormAct` over the concatenation,
    which may be replaced, or its convolution, by whatever takes that.

    Args:
        interpolation: any of `INTERPOLATIONS`. Only ``nearest`` has the fast form.

    Raises:
        OptionError: another interpolation.
    """

    # TorchScript needs to know of no more than the kernel.
    __jit_ignored_attributes__: ClassVar[list[str]] = ["_transposed_of", "_packed", "_parts"]

    if TYPE_CHECKING:  # TorchScript would take it for an attribute's type
        conv1: ConvNormAct
        transposed: Tensor | None

    def __init__(self, interpolation: str) -> None:
        super().__init__()
        self.interpolation = check_interpolation(interpolation)
        # Of the inference form: the kernel of the fast form, and the weight that it was made of.
        self.register_buffer("transposed", None, persistent=False)
        self._transposed_of: MadeOf | None = None
        self._packed, self._parts = PackedKernel(), KnownParts()

    @staticmethod
    def join(channels: int, out_channels: int, norm: Norm) -> ConvNormAct:
        """A ``conv1`` for a concatenation of so many channels."""
        return ConvNormAct(channels, out_channels, kernel_size=3, padding=1, norm=norm)

    def has_stock_parts(self) -> bool:
        """See `Fusing`: the convolution in ``conv1`` is read, not called, and so is ``conv1``."""
        return is_stock(self.conv1, ConvNormAct) and is_stock(self.conv1[0], nn.Conv2d, CONV3X3)

    def prepared(self, walk: Walk, up_channels: int) -> nn.Module:
        """For the ``inference_form`` of a subclass: the block, with the kernel of its fast form at hand.

        Args:
            walk: as that is given.
            up_channels: channels of the map that is upsampled.
        """
        walk.parts(self)
        if self.interpolation == "nearest" and self.has_stock_parts():
            weight = self.conv1[0].weight
            assert isinstance(weight, Tensor)
            self.transposed = transposed_kernel(weight[:, :up_channels]).contiguous()
            self._transposed_of = MadeOf(weight)
        return self

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        if self._transposed_of is not None and self.known_kernel() is None:
            state["_transposed_of"] = None  # a copy cannot tell that the weight was written into
        return state

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> UpsampleConcatBlock:
        """See `torch.nn.Module`: a kernel goes along with its weight."""
        known = self.known_kernel()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        weight = self._weight()
        if known is not None and weight is not None:
            assert self.transposed is not None
            if torch.finfo(weight.dtype).eps < torch.finfo(known.dtype).eps:  # both were rounded, each by itself
                self.transposed = transposed_kernel(weight.detach()[:, : known.shape[0]]).contiguous()
            self._transposed_of = MadeOf(weight)
        return self

    def _weight(self) -> Tensor | None:
        """Of the convolution, where that has one as a parameter: not if it was replaced, pruned or parametrised."""
        first = self.conv1[0] if isinstance(self.conv1, nn.Sequential) and len(self.conv1) > 0 else None
        return None if first is None else first._parameters.get("weight")

    def known_kernel(self) -> Tensor | None:
        """The kernel of the fast form, where it is there and is that of the weight as it is now.

        Scripts and compiled graphs compute it of the weight, which they share with the module: nobody tells them that
        it was written into.
        """
        if torch.jit.is_scripting():
            return None
        if self._transposed_of is None or torch.compiler.is_compiling():
            return None
        return self.transposed if self._transposed_of.is_still(self._weight()) else None

    def concat(self, x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None) -> Tensor:
        """What ``conv1`` is called with; see `upsample_concat`."""
        return upsample_concat(x, skip, height, width, dense, self.interpolation)

    def fused(self, x: Tensor, skip: Tensor | None, height: int, width: int, dense: list[Tensor] | None) -> Tensor:
        """What ``conv1`` makes of the concatenation, by the fast form where that is faster."""
        transposed = self.known_kernel()
        if not torch.jit.is_scripting():
            done = self._by_kernel(x, skip, height, width, dense, transposed)
            if done is not None:
                return done
        channels = _channels_taken(self.conv1[0].weight)  # type: ignore[arg-type]
        if not is_transposed(x, height, width, self.interpolation, transposed is not None, channels):
            plain: Tensor = self.conv1(self.concat(x, skip, height, width, dense))
            return plain
        conv, enlarged, rest = self.conv1[0], None, None
        if not torch.jit.is_scripting():
            enlarged = self._by_packed(x, skip, height, width, transposed)
            rest = self._of_skips(skip, dense, x.shape[1]) if transposed is not None else None
        weight, bias = conv.weight, conv.bias
        out = convolve_transposed(x, skip, height, width, dense, weight, bias, transposed, enlarged, rest)  # type: ignore[arg-type]
        for index, layer in enumerate(self.conv1):
            if index > 0:
                out = layer(out)
        return out

    @torch.jit.unused
    def _by_packed(
        self, x: Tensor, skip: Tensor | None, height: int, width: int, transposed: Tensor | None
    ) -> Tensor | None:
        """The transposed convolution of ``x`` alone, where its kernel is known, and is faster laid out anew."""
        if transposed is None or not is_eager(x) or type(x) is not Tensor:
            return None
        weight, bias = self.conv1[0].weight, self.conv1[0].bias
        assert isinstance(weight, Tensor)
        if form_for(_layer(True), x, x.shape[0] * height * width, weight.shape[1]) != "packed":
            return None
        return self._packed.convolve(x, transposed, None if skip is not None else bias)  # type: ignore[arg-type]

    @torch.jit.unused
    def _of_skips(self, skip: Tensor | None, dense: list[Tensor] | None, start: int) -> Tensor | None:
        """What the skips add, of an inference form, each convolved as is fastest; None where that is not at hand."""
        if skip is None or not skip.is_cpu or not is_eager(skip) or torch.is_grad_enabled():
            return None
        weight, bias = self.conv1[0].weight, self.conv1[0].bias
        out: Tensor | None = None
        for item in dense or ():
            found = self._parts.convolve(item, weight, start, None)  # type: ignore[arg-type]
            out = found if out is None else out.add_(found)
            start += item.shape[1]
        found = self._parts.convolve(skip, weight, start, bias)  # type: ignore[arg-type]
        return found if out is None else out.add_(found)

    @torch.jit.unused
    def _by_kernel(
        self,
        x: Tensor,
        skip: Tensor | None,
        height: int,
        width: int,
        dense: list[Tensor] | None,
        transposed: Tensor | None,
    ) -> Tensor | None:
        """As `fused`, by the kernel of a plugin; None where there is none for it."""
        if self.interpolation != "nearest" or is_recording(x) or not _is_twofold(x, height, width):
            return None
        weight, bias = self.conv1[0].weight, self.conv1[0].bias
        assert isinstance(weight, Tensor)
        kernel = kernel_for(_layer(transposed is not None), x, x.shape[0] * height * width, weight.shape[1])
        if kernel is None:
            return None
        skips = [*(dense or ()), *(() if skip is None else (skip,))]
        # One skip for the kernel. What is upsampled is the larger half of what the plain form stores.
        joined = skips[0] if len(skips) == 1 else torch.cat(skips, dim=1) if skips else None
        folded = self.conv1.has_folded_norm()
        out = kernel(x, joined, weight, bias, height, width, folded, transposed)  # type: ignore[arg-type]
        return self.conv1.after_convolution(out, 2 if folded else 0)
