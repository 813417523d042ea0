"""The architecture of this distribution, as data."""

from __future__ import annotations

from typing import Any

from smp_core.plugin import INTERPOLATIONS, ArchitectureSpec, ConformanceSpec, Number, OneOf, Whole, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="fpn",
            class_name="FPN",
            target="smp_fpn.model:FPN",
            options={
                "decoder_pyramid_channels": 256,
                "decoder_segmentation_channels": 128,
                "decoder_merge_policy": "add",
                "decoder_dropout": 0.2,
                "decoder_interpolation": "nearest",
                "upsampling": 4,
            },
            option_kinds={
                "decoder_pyramid_channels": Whole(),
                "decoder_segmentation_channels": Whole(multiple_of=32),
                "decoder_merge_policy": OneOf(names=("add", "cat")),
                "decoder_dropout": Number(),
                "decoder_interpolation": OneOf(names=INTERPOLATIONS),
                "upsampling": Whole(most=1024),
            },
            license="MIT",
            paper="Kirillov et al., Panoptic Feature Pyramid Networks, arXiv:1901.02446",
            summary="a pyramid of equal widths, each level convolved up to a quarter of the input and merged",
        )
    ]


@hookimpl
def smp_conformance() -> ConformanceSpec:
    return ConformanceSpec(options={"fpn": "smp_fpn.plugin:to_the_size_of_the_image"})


def to_the_size_of_the_image(encoder: Any) -> dict[str, int]:
    """Options with which masks are as large as images over any encoder.

    The merged map is at an eighth of the deepest reduction, and upsampled by a factor of its own.

    Args:
        encoder: built, an `smp_core.Encoder`.
    """
    return {"upsampling": encoder.reductions[-1] // 8}
