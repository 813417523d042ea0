"""Which form of a fused layer runs: one table for all of them, with where each row was measured.

The forms are equal; which one is fast depends on the device, the precision, the layout and the size. Devices that have
not been measured keep the plain form. Plugins add rows by the hook ``smp_forms``, which come before the core's.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch
from torch import Tensor

from smp_core._specs.form import KERNEL, LAYERS, FormRule
from smp_core.errors import OptionError

_HERE = "1 CPU core, float32, 512x512, torch 2.14"


def _known(
    layer: str, form: str, *, measured: str, pixels: int = 0, channels: int = 0, most: int | None = None
) -> FormRule:
    return FormRule(
        layer=layer,
        form=form,
        device="cpu",
        dtypes=("float32",),
        memory_format="channels_last",
        gradient=False,
        compiled=False,
        least_pixels=pixels,
        least_channels=channels,
        most_channels=most,
        measured=f"1 CPU core, float32, channels-last, torch 2.14: {measured}",
    )


TABLE: tuple[FormRule, ...] = (
    FormRule(
        layer="upsample_conv3x3",
        form="transposed",
        device="cpu",
        compiled=True,
        measured=f"{_HERE}: Unet over resnet34 1.12 times as fast. On an H200 in bfloat16 it loses but at few channels",
    ),
    FormRule(
        layer="upsample_conv3x3",
        form="transposed",
        device="cpu",
        compiled=False,
        least_pixels=1100,
        measured="1 CPU core, float32, channels-last, (1280, 96) to 256 channels: 45 ms for 5 to 8x8, where to compute "
        "the kernel takes longer than the convolution, 64 for 58 to 32x32, 138 for 251 to 64x64; (128, 64) to 64: 0.8 "
        "for 0.3, 2.4 for 2.4, 6.6 for 8.6",
    ),
    _known(
        "known_upsample_conv3x3",
        "packed",
        channels=256,
        pixels=256,
        measured="2048 channels to 256 2.0 times as fast to 24x24, 1280 1.35, and 1.2 to 32x32, 512 1.28 to 24x24, "
        "256 to 128 1.06 to 48x48, 128 to 64 as fast to 96x96; Unet at 384x384 over mobilenet_v2 1.023, resnet50 1.026",
    ),
    FormRule(
        layer="known_upsample_conv3x3",
        form="transposed",
        device="cpu",
        compiled=False,
        least_pixels=256,
        measured="1 CPU core, float32, channels-last, (1280, 96) to 256 channels: 14 ms for 5 to 8x8, 12 for 16 to "
        "16x16, 32 for 58 to 32x32; (128, 64) to 64: 0.2 for 0.3, 0.5 for 0.7, 1.7 for 2.4",
    ),
    _known(
        "known_conv3x3",
        "winograd_2x2",
        channels=384,
        pixels=60,
        measured="512 channels 1.91 times as fast at 8x8, 1.79 at 12x12, 1.84 at 16x16 and 24x24, 384 channels 1.61, "
        "1.78 and 1.72; with the larger tiles 512 channels 1.68, 2.21, 2.40 and 2.65, but kernels 2.25 times as large",
    ),
    _known(
        "known_conv3x3",
        "winograd_4x4",
        channels=256,
        pixels=100,
        measured="256 channels 1.38 times as fast at 12x12, 1.68 at 24x24, 2.29 at 48x48, 1.02 at 8x8",
    ),
    _known(
        "known_conv3x3",
        "winograd_4x4",
        channels=128,
        pixels=256,
        measured="128 channels 1.09 to 1.12 times as fast at 16x16, 1.19 at 24x24, 1.63 at 48x48, 0.89 at 12x12",
    ),
    _known(
        "known_conv3x3",
        "winograd_4x4",
        channels=96,
        pixels=576,
        measured="96 channels 1.00 to 1.16 times as fast at 24x24, 1.14 to 1.32 at 32x32, 1.39 at 48x48, 0.91 at 16x16",
    ),
    _known(
        "known_conv3x3",
        "winograd_4x4",
        channels=64,
        pixels=2000,
        measured="64 channels 1.05 to 1.11 times as fast at 48x48, 1.2 to 1.3 at 96x96, 1.17 at 192x192, 0.96 to 1.02 "
        "at 32x32; 128 to 64 channels 1.39 at 48x48; 64 to 32 channels 0.65 and 0.89",
    ),
    _known(
        "known_dilated_conv3x3",
        "winograd_4x4",
        channels=96,
        pixels=576,
        measured="at 48x48, by 4 512 channels 2.73 times as fast, by 2 256 channels 2.20; at 24x24, by 2 1.62",
    ),
    _known(
        "known_conv3x3",
        "taps",
        most=4,
        pixels=2048,
        measured="16 to 1 channel 3.50 times as fast at 384x384, 2.43 at 96x96, to 2 2.59, 3 1.92, 4 1.55, 6 0.89; 512 "
        "to 1 7.35 at 48x48",
    ),
    _known(
        "known_depthwise_conv3x3",
        "shifted",
        measured="by 12 512 channels 7.57 times as fast at 48x48, 8.32 at 24x24, by 36 22; by 8 6.55, by 6 0.53",
    ),
    _known(
        "known_conv1x1",
        "onednn",
        pixels=2000,
        measured="16 to 96 channels 1.46 times as fast at 192x192, 304 to 256 1.22 at 96x96, 64 to 384 0.96 at 24x24; "
        "models over mobilenet_v2 at 384x384 Unet 1.02, DeepLabV3+ 1.05, PSPNet 1.14; two threads take it anyway",
    ),
    FormRule(
        layer="resized_conv3x3",
        form="matrices",
        device="cpu",
        compiled=False,
        measured=f"{_HERE}: UPerNet over resnet34 1.43 times as fast; in either layout, as the maps have it: laid out "
        "anew, the optimised one is at 384x384 0.95 times as fast as the eager one, else 1.03",
    ),
    FormRule(
        layer="enlarge",
        form="matrix",
        device="cpu",
        memory_format="contiguous",
        compiled=False,
        measured="1 CPU core, float32: the levels of PSPNet, 512 channels to 64x64, 3.9 ms for 58",
    ),
    FormRule(
        layer="enlarge",
        form="matrix",
        device="cpu",
        least_pixels=2048,
        compiled=False,
        measured="1 CPU core, float32, channels-last: 4.1 ms for 15 to 64x64, but 1.0 for 0.6 to 32x32",
    ),
    FormRule(
        layer="enlarge",
        form="matrix",
        device="cuda",
        compiled=False,
        measured="the interpolation of PSPNet takes 2.5 ms a step on an H200 in bfloat16, over half of the step; the "
        "product itself has not been run on a GPU yet",
    ),
    FormRule(
        layer="dense_block",
        form="buffer",
        device="cpu",
        dtypes=("float32", "float64"),
        memory_format="contiguous",
        compiled=False,
        measured=f"{_HERE}: a forward pass as fast (1.01 over densenet121), and no map is kept twice for the gradient",
    ),
    FormRule(
        layer="layout",
        form="channels_last",
        device="cpu",
        compiled=False,
        least_pixels=140_000,
        measured="1 CPU core, float32, torch 2.14, Unet over resnet34: 0.88 times as fast at 256x256, 1.03 at 384x384, "
        "1.12 at 512x512; over mobilenet_v2 0.97, 1.13, 1.21",
    ),
)

_lock = threading.Lock()
# The blocks that are open, of all threads; each takes out its own, whichever ends first.
_blocks: list[tuple[str, str]] = []
# Of each layer the form of the block that was opened last. Exchanged, never written into: a call that is under way sees
# the one or the other.
_overrides: dict[str, str] = {}


@contextlib.contextmanager
def use_form(layer: str, form: str) -> Iterator[None]:
    """Within the block every call of a fused layer takes one form, where that is possible at all.

    For tests and measuring. It holds for all threads, of blocks that overlap the one that was entered last; what is
    compiled within the block keeps it.

    Args:
        layer: one of `smp_core._specs.form.LAYERS`.
        form: ``"plain"``, or another one of its forms.

    Raises:
        OptionError: no such layer or form; lists them.

    >>> with use_form("upsample_conv3x3", "plain"):
    ...     form_for("upsample_conv3x3", torch.zeros(1, 8, 4, 4))
    'plain'
    """
    global _overrides
    if form not in check_layer(layer):
        raise OptionError(f"unknown form {form!r} of {layer!r}; expected one of {', '.join(LAYERS[layer])}")
    block = _Block((layer, form))
    with _lock:
        _blocks.append(block)
        _overrides = dict(_blocks)
    try:
        yield
    finally:
        with _lock:
            _blocks[:] = [other for other in _blocks if other is not block]
            _overrides = dict(_blocks)


class _Block(tuple[str, str]):
    """A tuple of its own for each block: Python may share equal ones."""

    __slots__ = ()


def overridden() -> tuple[tuple[str, str], ...]:
    """The layers that `use_form` holds for now, with their forms."""
    return tuple(_overrides.items())


def check_layer(layer: str) -> tuple[str, ...]:
    """The forms of a fused layer.

    Raises:
        OptionError: no such layer; lists them.
    """
    if layer not in LAYERS:
        raise OptionError(f"unknown fused layer {layer!r}; expected one of {', '.join(LAYERS)}")
    return LAYERS[layer]


def form_for(layer: str, x: Tensor, pixels: int = 0, channels: int = 0) -> str:
    """The form that a fused layer takes; whether it may is for the layer to know.

    Args:
        layer: one of `smp_core._specs.form.LAYERS`.
        x: its input, (N, C, H, W).
        pixels: of its result, all images together; not asked while torch compiles, when sizes may be symbols.
        channels: that its convolution takes, by its weight, which a compiled call knows, too; 0 for those of ``x``.
    """
    return choice_for(layer, x, pixels, channels)[0]


def choice_for(layer: str, x: Tensor, pixels: int, channels: int) -> tuple[str, str | None]:
    """As `form_for`, with the target of the form ``kernel``, which is None for others and where nobody has one."""
    if torch.compiler.is_compiling():
        choice: tuple[str, str | None] = _compiled(
            layer, x.device.type, str(x.dtype), torch.is_grad_enabled(), channels
        )
        return choice
    if layer in _overrides:
        return _overridden(layer, x.device.type)
    for rule in _rules():
        if rule.layer == layer and _holds(rule, x, pixels, channels):
            return rule.form, rule.target
    return "plain", None


def _overridden(layer: str, device: str) -> tuple[str, str | None]:
    form = _overrides[layer]
    if form != KERNEL:
        return form, None
    # Somebody's kernel for this device; or for another one, as whoever asks for it may know that it runs here, too.
    rules = [rule for rule in _rules() if rule.layer == layer and rule.form == KERNEL]
    rules.sort(key=lambda rule: rule.device != device)
    return form, rules[0].target if rules else None


def _holds(rule: FormRule, x: Tensor, pixels: int, channels: int) -> bool:
    if rule.device != x.device.type or rule.compiled is True or pixels < rule.least_pixels:
        return False
    if rule.memory_format is not None:
        is_last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        if is_last is not (rule.memory_format == "channels_last"):
            return False
    if (channels or x.shape[1]) < rule.least_channels:
        return False
    if rule.most_channels is not None and (channels or x.shape[1]) > rule.most_channels:
        return False
    return _holds_anyhow(rule, str(x.dtype), torch.is_grad_enabled())


def _holds_anyhow(rule: FormRule, dtype: str, gradient: bool) -> bool:
    if rule.dtypes and dtype.removeprefix("torch.") not in rule.dtypes:
        return False
    return rule.gradient is None or rule.gradient == gradient


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _compiled(layer: str, device: str, dtype: str, gradient: bool, channels: int) -> tuple[str, str | None]:
    """As `choice_for`, of what is the same whenever the compiled graph runs."""
    if layer in _overrides:
        return _overridden(layer, device)
    for rule in _rules():
        if rule.layer != layer or rule.device != device or rule.compiled is False:
            continue
        if rule.memory_format is not None or rule.least_pixels > 0:
            continue
        if channels < rule.least_channels:
            continue
        if rule.most_channels is not None and not 0 < channels <= rule.most_channels:
            continue
        if _holds_anyhow(rule, dtype, gradient):
            return rule.form, rule.target
    return "plain", None


def _rules() -> tuple[FormRule, ...]:
    """The plugins' rules, then the core's."""
    # Not at the top: layers are imported by plugins, also where nobody wants to know what is installed.
    from smp_core import registry

    return (*registry.forms(), *TABLE)
