"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import ArchitectureSpec, FormerOption, NormKind, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="linknet",
            class_name="Linknet",
            target="smp_linknet.model:Linknet",
            options={
                "decoder_use_norm": "batchnorm",
            },
            option_kinds={
                "decoder_use_norm": NormKind(),
            },
            former_options={
                "decoder_use_batchnorm": FormerOption(
                    now="decoder_use_norm", values={True: "batchnorm", False: "identity"}
                ),
            },
            min_depth=1,
            # One block a level, as many as there are levels.
            max_depth=8,
            license="MIT",
            paper="Chaurasia & Culurciello, LinkNet, arXiv:1707.03718",
            summary="a light decoder of transposed convolutions whose skips are added",
        )
    ]
