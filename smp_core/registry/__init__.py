"""From names to specs: what is installed, who provides what, and what a name means.

Importing this package discovers the installed plugins. It imports neither torch nor any plugin's implementation.
The registry is a value: `refresh` builds a new one, and nothing writes into an existing one.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from smp_core._specs.registered import Registered, normalise
from smp_core.errors import FAILURES, OptionError, PluginError, RegistryError, UnknownEncoderError
from smp_core.plugin import ArchitectureSpec, CommandSpec, ConformanceSpec, EncoderSpec, FormRule, NeckSpec
from smp_core.registry import index
from smp_core.registry.discovery import PluginRecord, Settings, discover
from smp_core.registry.kinds import ARCHITECTURE, COMMAND, ENCODER, NECK, Kind
from smp_core.registry.resolution import Parts, Registry, check_name

__all__ = [
    "PluginRecord",
    "Registered",
    "conformance_specs",
    "describe",
    "list_architectures",
    "list_commands",
    "list_encoders",
    "list_necks",
    "plugins",
    "refresh",
    "resolve_architecture",
    "resolve_command",
    "resolve_encoder",
    "resolve_neck",
]

_registry = Registry(discover(Settings.from_environment()))


def refresh() -> None:
    """Look for plugins again, after one was installed or removed in this process, or a switch was changed.

    A module that is imported already is not imported again: after an upgrade, restart the process.
    """
    global _registry
    importlib.invalidate_caches()
    _registry = Registry(discover(Settings.from_environment()))


def plugins() -> list[PluginRecord]:
    """Every plugin found, those that are broken or disabled included, in the order of their distribution names."""
    return [plugin.record for plugin in _registry.loaded]


def resolve_encoder(name: str) -> Registered[EncoderSpec]:
    """The spec that an encoder name means.

    Raises:
        MissingPluginError: the distribution that owns the name is not installed, disabled or broken.
        NameConflictError: several plugins provide it.
        UnknownEncoderError: nobody does; names close matches and every plugin that failed to load.
    """
    return _registry.resolve(ENCODER, name)


def resolve_architecture(name: str) -> Registered[ArchitectureSpec]:
    """The spec that an architecture name means; raises as `resolve_encoder`, with `UnknownArchitectureError`."""
    return _registry.resolve(ARCHITECTURE, name)


def resolve_neck(name: str) -> Registered[NeckSpec]:
    """The spec that the name of a neck means; raises as `resolve_encoder`, with `UnknownNeckError`."""
    return _registry.resolve(NECK, name)


def resolve_command(name: str) -> Registered[CommandSpec]:
    """The spec that the name of a plugin's command means; raises as `resolve_encoder`, with `UnknownCommandError`."""
    return _registry.resolve(COMMAND, name)


def forms() -> tuple[FormRule, ...]:
    """The rules that plugins have of which form of a fused layer runs where, in the order of their distributions."""
    return _registry.forms


def conformance_specs(distribution: str) -> list[ConformanceSpec]:
    """What the plugins of a distribution tell the checks of smp-testing; empty where they tell nothing.

    Raises:
        PluginError: a hook raised, or returned something else.
    """
    found: list[ConformanceSpec] = []
    for plugin in _registry.of(distribution):
        title = f"plugin {plugin.record.distribution!r} {plugin.record.version}: hook 'smp_conformance'"
        try:
            answers: list[Any] = plugin.manager.hook.smp_conformance() if plugin.manager is not None else []
        except FAILURES as error:
            raise PluginError(f"{title} raised {type(error).__name__}: {error}") from error
        for answer in answers:
            if not isinstance(answer, ConformanceSpec):
                raise PluginError(f"{title} returned {answer!r}; expected a ConformanceSpec")
            found.append(answer)
    return found


def resolve_parts(arch: str, encoder: str | None, neck: str | None) -> Parts:
    """The specs that the names of a model's parts mean, and the necks of which one may be chosen.

    Raises:
        RegistryError: as `resolve_encoder`; where several names mean nothing, the error of the first says all.
    """
    return _registry.resolve_parts(arch, encoder, neck)


def resolve_saved(class_name: str, encoder: Any, recorded: Mapping[str, Mapping[str, Any]]) -> Parts:
    """The specs of the parts of a saved model.

    Args:
        class_name: which the model's architecture carries in checkpoints (``"Unet"``).
        encoder: its name; None where the model is over a module.
        recorded: what was recorded of the provider of each part, under ``"architecture"``, ``"encoder"``, ``"neck"``:
            ``name`` (qualified), ``distribution`` and ``version``. Empty where segmentation_models_pytorch wrote it.

    Raises:
        RegistryError: as `resolve_encoder`; begins with what was recorded.
    """
    return _registry.resolve_saved(class_name, encoder, recorded)


_CAPABILITIES: dict[str, Callable[[Any], bool]] = {
    "dilation": lambda spec: bool(spec.dilation),
    "tokens": lambda spec: spec.tokens,
    "scriptable": lambda spec: spec.scriptable,
}


def _filter(provider: str | None, capability: str | None, license: str | None) -> Callable[[Registered[Any]], bool]:
    if capability is not None and capability not in _CAPABILITIES:
        raise OptionError(f"unknown capability {capability!r}; expected one of {', '.join(_CAPABILITIES)}")

    def keep(item: Registered[Any]) -> bool:
        return (
            (provider is None or normalise(provider) == normalise(item.distribution))
            and (capability is None or _CAPABILITIES[capability](item.spec))
            and (license is None or (item.spec.license or "").casefold() == license.casefold())
        )

    return keep


def list_encoders(
    *,
    provider: str | None = None,
    weights: str | bool | None = None,
    capability: str | None = None,
    license: str | None = None,
    open_families: bool = False,
) -> list[str]:
    """Names of the installed encoders, sorted; each can be given to `create`.

    A name that several plugins provide, or that belongs to another distribution, appears in its qualified spelling.

    Args:
        provider: only those of this distribution.
        weights: True for those with any pretrained weights, False for those without, or the name of a weight set.
        capability: ``"dilation"``, ``"tokens"`` or ``"scriptable"``.
        license: SPDX identifier of the code.
        open_families: whether also those of open families (``tu-*``: every timm model), as far as their plugins can
            count them; there may be thousands.

    Raises:
        OptionError: an unknown capability.
    """
    keep = _filter(provider, capability, license)

    def has_weights(item: Registered[EncoderSpec]) -> bool:
        if weights is None:
            return True
        return weights in item.spec.weights if isinstance(weights, str) else bool(item.spec.weights) is weights

    def wanted(item: Registered[EncoderSpec]) -> bool:
        return keep(item) and has_weights(item)

    names = _registry.names(ENCODER, wanted)
    if open_families:
        names = sorted({*names, *(name for name, item in _registry.open_specs(ENCODER).items() if wanted(item))})
    return names


def list_architectures(
    *,
    provider: str | None = None,
    capability: str | None = None,
    license: str | None = None,
    open_families: bool = False,
) -> list[str]:
    """Names of the installed architectures, sorted; arguments and errors as for `list_encoders`."""
    wanted = _filter(provider, capability, license)
    names = _registry.names(ARCHITECTURE, wanted)
    if open_families:
        found = _registry.open_specs(ARCHITECTURE)
        names = sorted({*names, *(name for name, item in found.items() if wanted(item))})
    return names


def list_necks(*, provider: str | None = None) -> list[str]:
    """Names of the installed necks, sorted; ``provider`` as for `list_encoders`."""
    return _registry.names(NECK, _filter(provider, None, None))


def list_commands(*, provider: str | None = None) -> list[str]:
    """Names of the commands that plugins add to ``smp``, sorted; ``provider`` as for `list_encoders`."""
    return _registry.names(COMMAND, _filter(provider, None, None))


def describe(name: str) -> Registered[Any]:
    """The spec of an encoder, architecture or neck, and who provides it.

    Args:
        name: name or qualified name; one that is several means the architecture, then the neck.

    Raises:
        RegistryError: as `resolve_encoder` and `resolve_architecture`.
    """
    check_name("encoder, architecture or neck", name)
    failed: LookupError | None = None
    kinds: tuple[Kind[Any], ...] = (ARCHITECTURE, NECK)
    for kind in kinds:
        if _registry.is_known(kind, name.rpartition("/")[2]):
            try:
                return _registry.resolve(kind, name)
            except LookupError as error:
                failed = failed or error
    if failed is not None:
        # A plugin may have an encoder of a name that is elsewhere an architecture's or a neck's.
        with contextlib.suppress(RegistryError):
            return resolve_encoder(name)
        raise failed
    try:
        return resolve_encoder(name)
    except UnknownEncoderError as error:
        try:  # one that no plugin lists
            return _registry.resolve(ARCHITECTURE, name)
        except RegistryError as refused:
            if refused.explained and not error.explained:
                raise refused from None
        others = _others_like(name)
        if not others:
            raise
        raise UnknownEncoderError(f"{error}\nOr {others}?") from None


def _others_like(name: str) -> str:
    """The architectures and necks of a similar name, as they follow "or"; empty where there are none."""
    known = {
        "architecture": [*list_architectures(), *index.architecture_names()],
        "neck": [*list_necks(), *index.neck_names()],
    }
    close = {
        word: difflib.get_close_matches(name.casefold(), dict.fromkeys(names), n=2) for word, names in known.items()
    }
    return " or ".join(f"the {word} {' or '.join(map(repr, names))}" for word, names in close.items() if names)


def __getattr__(name: str) -> Any:
    if name == "compatible":  # it lived here before there were blueprints
        return importlib.import_module("smp_core.blueprints.asking").compatible
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
