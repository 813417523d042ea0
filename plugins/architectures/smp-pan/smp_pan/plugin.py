"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import INTERPOLATIONS, ArchitectureSpec, FormerOption, OneOf, Whole, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="pan",
            class_name="PAN",
            target="smp_pan.model:PAN",
            options={
                "decoder_channels": 32,
                "decoder_interpolation": "bilinear",
                "upsampling": 4,
            },
            option_kinds={
                "decoder_channels": Whole(),
                "decoder_interpolation": OneOf(names=INTERPOLATIONS),
                "upsampling": Whole(most=1024),
            },
            former_options={
                "upscale_mode": FormerOption(now="decoder_interpolation"),
                # Long ignored by the library that still wrote it down.
                "encoder_dilation": FormerOption(now="encoder_output_stride", values={True: 16, False: 32}, wins=False),
            },
            # The feature at 1/4, and a deeper one.
            requires=(4,),
            min_depth=3,
            max_depth=5,
            dilation=(16, 32),
            license="MIT",
            paper="Li et al., Pyramid Attention Network for Semantic Segmentation, arXiv:1805.10180",
            summary="attention over a pyramid of the deepest feature, then gates from deep features to shallow ones",
        )
    ]
