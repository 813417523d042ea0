"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import INTERPOLATIONS, ArchitectureSpec, FormerOption, NormKind, OneOf, Wholes, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="unetplusplus",
            class_name="UnetPlusPlus",
            target="smp_unetplusplus.model:UnetPlusPlus",
            options={
                "decoder_use_norm": "batchnorm",
                "decoder_channels": (256, 128, 64, 32, 16),
                "decoder_attention_type": None,
                "decoder_interpolation": "nearest",
            },
            option_kinds={
                "decoder_use_norm": NormKind(),
                "decoder_channels": Wholes(),
                "decoder_attention_type": OneOf(names=("scse",), optional=True),
                "decoder_interpolation": OneOf(names=INTERPOLATIONS),
            },
            options_per_level=("decoder_channels",),
            former_options={
                "decoder_use_batchnorm": FormerOption(
                    now="decoder_use_norm", values={True: "batchnorm", False: "identity"}
                ),
            },
            min_depth=1,
            # One block a level, as many as there are levels and decoder channels.
            max_depth=8,
            license="MIT",
            paper="Zhou et al., UNet++, arXiv:1807.10165",
            summary="Unet whose skip connections are nested and dense",
        )
    ]
