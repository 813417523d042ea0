"""Where the kernels run, as data: only where they have been measured to win."""

from __future__ import annotations

from smp_core.plugin import FormRule, hookimpl

_STEP = "smp_kernels.step:decoder_step"
_HALF = ("bfloat16", "float16")

_MEASURED = (
    "a prototype of this kernel on an H100, bfloat16, torch 2.11, batch 8, ms for (up, skip, out channels, output "
    "size), this, torch.compile, eager: (32, 0, 16, 512) 0.10, 0.32, 0.78; (64, 64, 32, 256) 0.18, 0.24, 0.60; "
    "(128, 64, 64, 128) 0.07, 0.15, 0.27; without upsampling (0, 16, 16, 512) 0.11, 0.28, 0.39; (0, 32, 32, 256) 0.07, "
    "0.12, 0.15"
)

# Channels that the widest measured step takes, with and without upsampling.
_MOST_JOINED, _MOST_PLAIN = 192, 32
# The smallest measured map, one image.
_LEAST_PIXELS = 128 * 128


@hookimpl
def smp_forms() -> list[FormRule]:
    return [
        FormRule(
            layer=layer,
            form="kernel",
            target=_STEP,
            device="cuda",
            dtypes=_HALF,
            gradient=False,
            most_channels=channels,
            measured=_MEASURED,
            **how,
        )
        for layer, channels in (
            ("known_upsample_conv3x3", _MOST_JOINED),
            ("upsample_conv3x3", _MOST_JOINED),
            ("conv3x3", _MOST_PLAIN),
        )
        for how in (
            {"compiled": False, "memory_format": "channels_last", "least_pixels": _LEAST_PIXELS},
            {"compiled": True},
        )
    ]
