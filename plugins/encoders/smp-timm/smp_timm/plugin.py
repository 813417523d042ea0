"""Every timm model, as data: names are resolved, out of an index that ships with this distribution."""

from __future__ import annotations

from collections.abc import Iterable

from smp_core.plugin import ConformanceSpec, EncoderSpec, hookimpl


@hookimpl
def smp_resolve_encoder(name: str) -> EncoderSpec | None:
    from smp_timm.resolving import resolve  # the index is read when a name is asked for, not at discovery

    return resolve(name)


@hookimpl
def smp_encoder_names() -> Iterable[str]:
    from smp_timm.resolving import every_name

    return every_name()


@hookimpl
def smp_conformance() -> ConformanceSpec:
    return ConformanceSpec(encoders=("tu-test_efficientnet", "tu-test_vit"))  # tiny, one of each kind
