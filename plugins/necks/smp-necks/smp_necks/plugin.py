"""The necks of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import NeckSpec, hookimpl

_REDUCTIONS = (4, 8, 16, 32)


@hookimpl
def smp_necks() -> list[NeckSpec]:
    return [
        NeckSpec(
            name="simple_pyramid",
            target="smp_necks.simple_pyramid:SimplePyramid",
            reductions=_REDUCTIONS,
            tokens=True,
            default=True,
            license="MIT",
            paper="Li et al., Exploring Plain Vision Transformer Backbones for Object Detection, arXiv:2203.16527",
            summary="ViTDet's pyramid: every level is convolved from the last feature of a plain transformer",
        ),
        NeckSpec(
            name="resize_pyramid",
            target="smp_necks.resize_pyramid:ResizePyramid",
            reductions=_REDUCTIONS,
            tokens=True,
            license="MIT",
            summary="features of a plain transformer, earlier blocks to finer levels, resampled; no parameters",
        ),
        NeckSpec(
            name="regrid",
            target="smp_necks.regrid:Regrid",
            reductions=_REDUCTIONS,
            tokens=False,
            pyramid=True,
            default=True,
            license="MIT",
            summary="a pyramid of any other reductions, each level resampled from the nearest; no parameters",
        ),
    ]
