"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import ArchitectureSpec, OneOf, Whole, Wholes, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="dpt",
            class_name="DPT",
            target="smp_dpt.model:DPT",
            options={
                "decoder_readout": "cat",
                "decoder_intermediate_channels": (256, 512, 1024, 1024),
                "decoder_fusion_channels": 256,
            },
            option_kinds={
                "decoder_readout": OneOf(names=("cat", "add", "ignore")),
                "decoder_intermediate_channels": Wholes(),
                "decoder_fusion_channels": Whole(),
            },
            default_depth=4,
            min_depth=1,
            max_depth=6,
            tokens=True,
            pyramid=False,
            license="MIT",
            paper="Ranftl et al., Vision Transformers for Dense Prediction, arXiv:2103.13413",
            summary="a plain transformer's tokens reassembled into a pyramid and fused from the deepest level up",
        )
    ]
