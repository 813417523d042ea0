"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import ArchitectureSpec, NormKind, Whole, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="upernet",
            class_name="UPerNet",
            target="smp_upernet.model:UPerNet",
            options={
                "decoder_channels": 256,
                "decoder_use_norm": "batchnorm",
                "upsampling": 4,
            },
            option_kinds={
                "decoder_channels": Whole(),
                "decoder_use_norm": NormKind(),
                "upsampling": Whole(most=1024),
            },
            # The feature at 1/4, and a deeper one.
            requires=(4,),
            min_depth=3,
            max_depth=8,
            license="MIT",
            paper="Xiao et al., Unified Perceptual Parsing for Scene Understanding, arXiv:1807.10221",
            summary="pyramid pooling of the deepest feature on top of a feature pyramid network",
        )
    ]
