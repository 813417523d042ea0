"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import INTERPOLATIONS, ArchitectureSpec, FormerOption, NormKind, OneOf, Wholes, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="unet",
            class_name="Unet",
            target="smp_unet.model:Unet",
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
            paper="Ronneberger et al., U-Net, arXiv:1505.04597",
            summary="encoder and decoder joined by skip connections at every level",
        )
    ]
