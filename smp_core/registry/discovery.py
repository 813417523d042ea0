"""Finding plugins and loading their light modules, each in its own try.

The result is a list of `LoadedPlugin`; what became of each plugin is in its `PluginRecord`, also where it failed.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import itertools
import os
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pluggy

from smp_core import plugin as plugin_api
from smp_core._specs.checks import Invalid, setting_aside, shown
from smp_core._specs.registered import normalise
from smp_core._version import __version__
from smp_core.errors import PluginError
from smp_core.plugin import ArchitectureSpec, CommandSpec, EncoderSpec, FormRule, NeckSpec
from smp_core.registry.metadata import Found, find_plugins

# A plugin that imports one of these at discovery makes every program slow that merely has it installed.
_HEAVY_MODULES = ("torch", "torchvision", "timm", "numpy", "transformers", "tensorflow", "jax")
# Hook "smp_<kind>" returns specs of this type; plugins and their records have an attribute of the kind's name.
_KINDS: dict[str, type[Any]] = {
    "encoders": EncoderSpec,
    "architectures": ArchitectureSpec,
    "necks": NeckSpec,
    "commands": CommandSpec,
    "forms": FormRule,
}
_HOOKS = (
    *("smp_encoders", "smp_architectures", "smp_necks", "smp_commands", "smp_forms"),
    *("smp_resolve_encoder", "smp_encoder_names", "smp_resolve_architecture", "smp_architecture_names"),
    *("smp_model_created", "smp_conformance"),
)
# The hook specifications alone: pluggy inspects every name of the module that it is given, here once a plugin.
_HOOK_SPECS = ModuleType(plugin_api.__name__)
for _hook in _HOOKS:
    setattr(_HOOK_SPECS, _hook, getattr(plugin_api, _hook))


@dataclass(frozen=True, kw_only=True)
class PluginRecord:
    """What became of one plugin.

    Attributes:
        distribution: name of the distribution as its metadata spells it.
        version: its version.
        module: the module that its entry point names.
        status: ``"ok"``, ``"slow"`` (works, but imports something heavy at discovery), ``"noisy"`` (works, but prints
            at discovery; that goes to standard error), ``"partial"`` (some of its specs are invalid and not listed),
            ``"broken"`` or ``"disabled"``.
        encoders, architectures, necks, commands, forms: names that it provides; empty where it is broken or disabled.
        resolves_encoders, resolves_architectures: whether it also resolves names of an open family.
        load_seconds: wall time of importing its module and asking its hooks.
        heavy_imports: heavy modules that its import pulled in.
        error: what is wrong, in one paragraph; None where nothing is.
        traceback: the traceback of the failure; None where there was none.
    """

    distribution: str
    version: str
    module: str
    status: str = "ok"
    encoders: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    necks: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    resolves_encoders: bool = False
    resolves_architectures: bool = False
    load_seconds: float = 0.0
    heavy_imports: tuple[str, ...] = ()
    error: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, kw_only=True)
class LoadedPlugin:
    """A plugin that was found: its record, its specs by name, and its own plugin manager to call it alone."""

    record: PluginRecord
    encoders: Mapping[str, EncoderSpec] = field(default_factory=dict)
    architectures: Mapping[str, ArchitectureSpec] = field(default_factory=dict)
    necks: Mapping[str, NeckSpec] = field(default_factory=dict)
    commands: Mapping[str, CommandSpec] = field(default_factory=dict)
    forms: Mapping[str, FormRule] = field(default_factory=dict)
    manager: pluggy.PluginManager | None = None


@dataclass(frozen=True)
class Settings:
    """The environment switches. Plugins are named by their distribution."""

    autoload: bool
    only: frozenset[str] | None
    disabled: frozenset[str]
    strict: bool

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the four switches; a flag that is neither 0 nor 1 is a `PluginError`."""
        only = _names(environ.get("SMP_PLUGINS", ""))
        return cls(
            autoload=not _flag(environ, "SMP_DISABLE_PLUGIN_AUTOLOAD"),
            only=only or None,
            disabled=_names(environ.get("SMP_DISABLE_PLUGINS", "")),
            strict=_flag(environ, "SMP_PLUGINS_STRICT"),
        )

    def reason_to_skip(self, distribution: str) -> str | None:
        """Why a plugin must not be loaded, or None where it may."""
        name = normalise(distribution)
        if name in self.disabled:
            return "disabled by SMP_DISABLE_PLUGINS"
        if self.only is not None:
            return None if name in self.only else "not in the allow list SMP_PLUGINS"
        return None if self.autoload else "disabled by SMP_DISABLE_PLUGIN_AUTOLOAD=1"


def _names(text: str) -> frozenset[str]:
    return frozenset(normalise(item.strip()) for item in text.split(",") if item.strip())


def _flag(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "0")
    if value not in ("0", "1"):
        raise PluginError(f"environment variable {name} is {value!r}; expected 0 or 1")
    return value == "1"


def discover(settings: Settings) -> list[LoadedPlugin]:
    """Load every plugin that the settings allow, in the order of their distribution names.

    Raises:
        PluginError: a plugin is broken and ``SMP_PLUGINS_STRICT=1``.
    """
    by_distribution: dict[str, list[LoadedPlugin]] = {}
    for item in find_plugins():
        siblings = by_distribution.setdefault(normalise(item.distribution), [])
        reason = settings.reason_to_skip(item.distribution)
        if reason is not None:
            siblings.append(LoadedPlugin(record=_record(item, status="disabled", error=reason)))
        else:
            siblings.append(_load(item, siblings, strict=settings.strict))
    missing = _missing(settings, by_distribution.keys())
    return [*itertools.chain.from_iterable(by_distribution.values()), *missing]


def _record(item: Found, **values: Any) -> PluginRecord:
    return PluginRecord(distribution=item.distribution, version=item.version, module=item.module, **values)


def _missing(settings: Settings, installed: Set[str]) -> Iterable[LoadedPlugin]:
    for name in sorted((settings.only or frozenset()) - installed):
        error = f"named in SMP_PLUGINS, but no plugin of that name is installed: pip install {name}"
        if settings.strict:
            raise PluginError(f"plugin {name!r}: {error}")
        yield LoadedPlugin(
            record=PluginRecord(distribution=name, version="not installed", module="", status="broken", error=error)
        )


def _load(item: Found, siblings: Iterable[LoadedPlugin], *, strict: bool) -> LoadedPlugin:
    """Import one plugin module and ask its hooks; whatever it raises becomes part of its record."""
    title = f"plugin {item.distribution!r} {item.version} ({item.module})"
    absent = [module for module in _HEAVY_MODULES if module not in sys.modules]
    printed = io.StringIO()
    start = time.perf_counter()
    try:
        if item.problem is not None:
            raise PluginError(item.problem)
        invalid: list[PluginError] = []
        with setting_aside(), contextlib.redirect_stdout(printed):
            manager = _register(_import(item.module), item.distribution)
            provided = {kind: _specs(manager, f"smp_{kind}", spec, invalid) for kind, spec in _KINDS.items()}
        if invalid and (strict or not any(provided.values())):
            raise invalid[0]
        _refuse_repetition(siblings, provided)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's code raises what it likes
        message = f"{title}: {_explain(error)}"
        if strict:
            raise PluginError(f"{message}\n(raised because SMP_PLUGINS_STRICT=1)") from error
        _pass_on(printed.getvalue())
        seconds = time.perf_counter() - start
        text = "".join(traceback.format_exception(error))
        return LoadedPlugin(record=_record(item, status="broken", load_seconds=seconds, error=message, traceback=text))
    heavy = tuple(module for module in absent if module in sys.modules)
    wrong = [f"{title}: {error}; its other specs are listed" for error in invalid]
    noise = printed.getvalue()
    if noise:
        _pass_on(noise)
        wrong.append(f"{title}: prints at discovery ({shown(noise.strip())}), which mixes with what programs print")
    if heavy:
        wrong.append(
            f"{title}: imports {', '.join(heavy)} at discovery, which slows every program down; "
            "move the import into the module that a spec's target names"
        )
    record = _record(
        item,
        status="partial" if invalid else "slow" if heavy else "noisy" if noise else "ok",
        **{kind: tuple(specs) for kind, specs in provided.items()},
        resolves_encoders=bool(manager.hook.smp_resolve_encoder.get_hookimpls()),
        resolves_architectures=bool(manager.hook.smp_resolve_architecture.get_hookimpls()),
        load_seconds=time.perf_counter() - start,
        heavy_imports=heavy,
        error="\n".join(wrong) or None,
        traceback="".join(line for error in invalid for line in traceback.format_exception(error)) or None,
    )
    return LoadedPlugin(record=record, manager=manager, **provided)


def _pass_on(printed: str) -> None:
    """What a plugin printed, where it is in nobody's way."""
    if printed and sys.stderr is not None:
        sys.stderr.write(printed)


def _refuse_repetition(siblings: Iterable[LoadedPlugin], provided: Mapping[str, Mapping[str, object]]) -> None:
    """A name that two modules of one distribution provide has no qualified spelling that tells them apart."""
    for sibling in siblings:
        twice = [name for kind, specs in provided.items() for name in specs.keys() & getattr(sibling, kind).keys()]
        if twice:
            names = ", ".join(map(repr, sorted(twice)))
            raise PluginError(f"module {sibling.record.module!r} of the same distribution provides {names} already")


def _explain(error: BaseException) -> str:
    text = str(error) or "no message"
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"


def _import(value: str) -> ModuleType:
    """Import the module that an entry point names."""
    name, _, attribute = value.partition("[")[0].partition(":")  # what stands in brackets are extras of a distribution
    name = name.strip()
    try:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"{value!r} is no module's name")
        module = importlib.import_module(name)
        for part in attribute.strip().split(".") if attribute.strip() else ():
            module = getattr(module, part)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise PluginError(
                f"its metadata names the module {name!r}, which is not there; "
                "the installation is incomplete: reinstall it or uninstall it"
            ) from error
        raise PluginError(f"importing it failed: {type(error).__name__}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"importing it failed: {type(error).__name__}: {error}") from error
    if not isinstance(module, ModuleType):
        raise PluginError(f"its entry point must name a module, not a {type(module).__name__}: drop ':attribute'")
    return module


class _PluginManager(pluggy.PluginManager):
    """A plugin manager that looks closely only at what is marked: its base inspects every name a module has."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        if not hasattr(vars(plugin).get(name), f"{self.project_name}_impl"):
            return None
        return super().parse_hookimpl_opts(plugin, name)

    def parse_hookspec_opts(self, module_or_class: ModuleType | type, name: str) -> pluggy.HookspecOpts | None:
        return super().parse_hookspec_opts(module_or_class, name) if name in _HOOKS else None


def _check_api(module: ModuleType, distribution: str) -> None:
    """Refuse a module that was written for hooks and specs that are not these."""
    asked: Any = getattr(module, "api_version", plugin_api.API_VERSION)
    oldest, newest = plugin_api.OLDEST_API_VERSION, plugin_api.API_VERSION
    if not isinstance(asked, int) or isinstance(asked, bool):
        raise PluginError(f"module {module.__name__!r}: api_version must be an int, got {asked!r}")
    if not oldest <= asked <= newest:
        has = str(newest) if oldest == newest else f"{oldest} to {newest}"
        remedy = "pip install -U smp-core" if asked > newest else f"pip install -U {distribution}"
        raise PluginError(
            f"it is written for version {asked} of the plugin API, and smp-core {__version__} has {has}: {remedy}"
        )


def _register(module: ModuleType, distribution: str) -> pluggy.PluginManager:
    """Register the module in a plugin manager of its own, refusing unknown hooks and modules without any."""
    _check_api(module, distribution)
    manager = _PluginManager(plugin_api.PROJECT_NAME)
    manager.add_hookspecs(_HOOK_SPECS)
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(_explain_hooks(manager, module, error)) from error
    if not manager.get_hookcallers(module):
        raise PluginError(
            f"module {module.__name__!r} implements no hook; decorate one of {', '.join(_HOOKS)} with "
            "@smp_core.plugin.hookimpl"
        )
    return manager


def _explain_hooks(manager: pluggy.PluginManager, module: ModuleType, error: Exception) -> str:
    unknown = [caller.name for caller in manager.get_hookcallers(module) or [] if caller.name not in _HOOKS]
    if not unknown:
        return str(error).replace("\n", " ")
    parts = []
    for name in unknown:
        close = difflib.get_close_matches(name, _HOOKS, n=1)
        parts.append(f"unknown hook {name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))
    return f"{'; '.join(parts)}; the hooks are {', '.join(_HOOKS)}"


def _specs(manager: pluggy.PluginManager, hook: str, kind: type[Any], invalid: list[PluginError]) -> dict[str, Any]:
    """Ask one hook of one plugin for its specs, by name; what is wrong with it, or with some, is added to a list."""
    specs: dict[str, Any] = {}
    twice: set[str] = set()
    try:
        results = _results(manager, hook, kind)
    except PluginError as error:
        invalid.append(error)
        return specs
    for spec in itertools.chain.from_iterable(results):
        if isinstance(spec, Invalid):
            wrong = PluginError(f"hook {hook!r} raised {type(spec.error).__name__}: {spec.error}")
            wrong.__cause__ = spec.error
            invalid.append(wrong)
        elif not isinstance(spec, kind):
            text = f"hook {hook!r} returned {shown(spec)} among its specs; expected {kind.__name__} only"
            invalid.append(PluginError(text))
        elif spec.name in specs and spec.name not in twice:
            invalid.append(PluginError(f"hook {hook!r} returned two specs of the same name: {spec.name!r}"))
            twice.add(spec.name)
        else:
            specs[spec.name] = spec
    return {name: spec for name, spec in specs.items() if name not in twice}


def _results(manager: pluggy.PluginManager, hook: str, kind: type[Any]) -> list[list[Any]]:
    """The lists that one hook of one plugin returns.

    Raises:
        PluginError: it raises, or returns something else.
    """
    caller = getattr(manager.hook, hook)
    expected = f"expected a list of {kind.__name__}"
    try:
        # A hook may be a generator, whose errors come only when it is iterated.
        results = [_listed(result) for result in caller()]
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"hook {hook!r} raised {type(error).__name__}: {error}") from error
    # pluggy drops the None of a function that forgot to return.
    if len(results) < len(caller.get_hookimpls()):
        raise PluginError(f"hook {hook!r} returned None; {expected}")
    for result in results:
        if not isinstance(result, list):
            raise PluginError(f"hook {hook!r} returned an object of type {type(result).__name__}; {expected}")
    return results


def _listed(result: Any) -> Any:
    """An iterable of specs as a list; anything else as it is, for the error to name its type."""
    if isinstance(result, (str, bytes, Mapping)) or not isinstance(result, Iterable):
        return result
    return list(result)
