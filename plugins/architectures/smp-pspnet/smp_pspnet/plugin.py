"""The architecture of this distribution, as data."""

from __future__ import annotations

from typing import Any

from smp_core.plugin import ArchitectureSpec, ConformanceSpec, FormerOption, NormKind, Number, Whole, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="pspnet",
            class_name="PSPNet",
            target="smp_pspnet.model:PSPNet",
            options={
                "psp_out_channels": 512,
                "decoder_use_norm": "batchnorm",
                "psp_dropout": 0.2,
                "upsampling": 8,
            },
            option_kinds={
                "psp_out_channels": Whole(),
                "decoder_use_norm": NormKind(),
                "psp_dropout": Number(),
                "upsampling": Whole(most=1024),
            },
            former_options={
                "psp_use_batchnorm": FormerOption(
                    now="decoder_use_norm", values={True: "batchnorm", False: "identity"}
                ),
            },
            default_depth=3,
            min_depth=1,
            # It looks at the deepest feature alone, however deep that is.
            max_depth=8,
            license="MIT",
            paper="Zhao et al., Pyramid Scene Parsing Network, arXiv:1612.01105",
            summary="the deepest feature beside averages of it over the image's parts",
        )
    ]


@hookimpl
def smp_conformance() -> ConformanceSpec:
    return ConformanceSpec(options={"pspnet": "smp_pspnet.plugin:to_the_size_of_the_image"})


def to_the_size_of_the_image(encoder: Any) -> dict[str, int]:
    """Options with which masks are as large as images over any encoder.

    The default enlarges eightfold, which is the image's size only at the default depth.

    Args:
        encoder: built, an `smp_core.Encoder`.
    """
    return {"upsampling": encoder.reductions[-1]}
