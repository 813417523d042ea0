"""What a saved model records of its plugins, against what is installed and what it says besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from smp_core._specs.checks import shown
from smp_core._specs.registered import Registered
from smp_core._warnings import warn
from smp_core.errors import CheckpointError

if TYPE_CHECKING:
    from packaging.version import Version


def is_older(version: str | None, than: str) -> bool:
    """Whether a version is before another (PEP 440); one that nobody recorded, or that is no version, is."""
    found, other = _parsed(version), _parsed(than)
    return found is None or other is None or found < other


def _parsed(version: str | None) -> Version | None:
    from packaging.version import InvalidVersion, Version  # only reading a saved model needs it

    try:
        return Version(version) if version is not None else None
    except InvalidVersion:
        return None


def recorded_version(details: Mapping[str, Any], part: str) -> str | None:
    """The version of a part's plugin that a config's ``_smp_core`` records, or None."""
    version = (details.get(part) or {}).get("version")
    return version if isinstance(version, str) else None


def check_names(
    config: Mapping[str, Any],
    details: Mapping[str, Any],
    architecture: Registered[Any],
    encoder: Registered[Any] | None,
    title: str,
) -> None:
    """Compare the names in a config, by which SMP knows its parts, with the parts that its record means.

    Raises:
        CheckpointError: they mean others.
    """
    for key, part in (("_model_class", architecture), ("encoder_name", encoder)):
        if part is None or not (details.get(part.kind) or {}).get("name"):
            continue
        spec, name = part.spec, config.get(key)
        names = (spec.name, getattr(spec, "class_name", spec.name), *spec.former_names)
        if name is not None and name not in names:
            raise CheckpointError(
                f"{title} contradicts itself: {key} is {shown(name)}, '_smp_core' records {spec.name!r} as the "
                f"{part.kind}"
            )


def compare(details: Mapping[str, Any], parts: Iterable[Registered[Any] | None]) -> None:
    """Warn where the saved model was written by a newer plugin than the installed one; once for each distribution."""
    newer = {}
    for part in filter(None, parts):
        recorded, installed = _parsed(recorded_version(details, part.kind)), _parsed(part.version)
        if recorded is not None and installed is not None and installed < recorded:
            newer[part.distribution] = (part.version, recorded)
    for distribution, (version, recorded) in newer.items():
        warn(
            f"the model was saved with {distribution} {recorded}, but {version} is installed, which may "
            f"read it wrongly; run: pip install -U '{distribution}>={recorded.public}'",
            UserWarning,
        )


def describe_difference(details: Mapping[str, Any], parts: Iterable[Registered[Any] | None]) -> str:
    """Which plugins differ in version from those that wrote the model, as half a sentence; empty where none does."""
    different = []
    for part in filter(None, parts):
        recorded = recorded_version(details, part.kind)
        if recorded is not None and recorded != part.version:
            different.append(f"{part.distribution} {recorded} wrote it, {part.version} is installed")
    return "; ".join(dict.fromkeys(different))
