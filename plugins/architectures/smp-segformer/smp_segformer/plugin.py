"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import ArchitectureSpec, Whole, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="segformer",
            class_name="Segformer",
            target="smp_segformer.model:Segformer",
            options={
                "decoder_segmentation_channels": 256,
                "upsampling": 4,
            },
            option_kinds={
                "decoder_segmentation_channels": Whole(),
                "upsampling": Whole(most=1024),
            },
            license="MIT",
            paper="Xie et al., SegFormer, arXiv:2105.15203",
            summary="every level projected, resized to a quarter of the input and fused by linear maps",
        )
    ]
