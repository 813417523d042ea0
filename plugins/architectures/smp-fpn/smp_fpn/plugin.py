"""The architecture of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import ArchitectureSpec, hookimpl


@hookimpl
def smp_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="fpn",
            class_name="FPN",
            target="smp_fpn.model:FPN",
            license="MIT",
            paper="Kirillov et al., Panoptic Feature Pyramid Networks, arXiv:1901.02446",
            summary="a pyramid of equal widths, each level convolved up to a quarter of the input and merged",
        )
    ]
