"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import INTERPOLATIONS, ArchitectureSpec, FormerOption, NormKind, OneOf, Whole, Wholes, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="manet",
            class_name="MAnet",
            target="smp_manet.model:MAnet",
            options={
                "decoder_use_norm": "batchnorm",
                "decoder_channels": (256, 128, 64, 32, 16),
                "decoder_pab_channels": 64,
                "decoder_interpolation": "nearest",
            },
            option_kinds={
                "decoder_use_norm": NormKind(),
                "decoder_channels": Wholes(),
                "decoder_pab_channels": Whole(),
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
            paper="Fan et al., MA-Net, IEEE Access 2020, doi:10.1109/ACCESS.2020.3025372",
            summary="Unet with attention between positions and between the channels of two scales",
        )
    ]
