"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import ArchitectureSpec, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="pan",
            class_name="PAN",
            target="smp_pan.model:PAN",
            # The feature at 1/4, and a deeper one.
            min_depth=3,
            max_depth=5,
            dilation=(16, 32),
            license="MIT",
            paper="Li et al., Pyramid Attention Network for Semantic Segmentation, arXiv:1805.10180",
            summary="attention over a pyramid of the deepest feature, then gates from deep features to shallow ones",
        )
    ]
