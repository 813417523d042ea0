"""The architectures of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import ArchitectureSpec, Flag, Number, Whole, Wholes, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="deeplabv3",
            class_name="DeepLabV3",
            target="smp_deeplabv3.model:DeepLabV3",
            options={
                "decoder_channels": 256,
                "decoder_atrous_rates": (12, 24, 36),
                "decoder_aspp_separable": False,
                "decoder_aspp_dropout": 0.5,
                "upsampling": None,
            },
            option_kinds={
                "decoder_channels": Whole(),
                "decoder_atrous_rates": Wholes(count=3),
                "decoder_aspp_separable": Flag(),
                "decoder_aspp_dropout": Number(),
                "upsampling": Whole(most=1024, optional=True),
            },
            min_depth=1,
            # It looks at the deepest feature alone, however deep that is.
            max_depth=8,
            dilation=(8, 16),
            license="MIT",
            paper="Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv:1706.05587",
            summary="parallel dilated convolutions over a dilated encoder's deepest feature",
        ),
        ArchitectureSpec(
            name="deeplabv3plus",
            class_name="DeepLabV3Plus",
            target="smp_deeplabv3.model:DeepLabV3Plus",
            options={
                "decoder_channels": 256,
                "decoder_atrous_rates": (12, 24, 36),
                "decoder_aspp_separable": True,
                "decoder_aspp_dropout": 0.5,
                "upsampling": 4,
            },
            option_kinds={
                "decoder_channels": Whole(),
                "decoder_atrous_rates": Wholes(count=3),
                "decoder_aspp_separable": Flag(),
                "decoder_aspp_dropout": Number(),
                "upsampling": Whole(most=1024),
            },
            # The feature at 1/4, and a deeper one.
            requires=(4,),
            min_depth=3,
            max_depth=8,
            dilation=(16, 8),
            license="MIT",
            paper=(
                "Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, "
                "arXiv:1802.02611"
            ),
            summary="DeepLabV3's dilated convolutions, refined with the feature at a quarter of the resolution",
        ),
    ]
