"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import ArchitectureSpec, Number, Whole, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="linear",
            class_name="Linear",
            target="smp_linear.model:Linear",
            options={"decoder_features": 1, "decoder_dropout": 0.0},
            option_kinds={
                "decoder_features": Whole(),
                "decoder_dropout": Number(),
            },
            default_depth=5,
            min_depth=1,
            max_depth=6,
            accepts_tokens=True,
            pyramid=False,
            license="MIT",
            paper="Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, arXiv:2304.07193",
            summary="batch norm and a 1x1 convolution over the last features, to judge what an encoder knows",
        )
    ]
