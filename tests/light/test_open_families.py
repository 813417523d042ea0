"""Encoders that are resolved by name and not listed: counted on request, explained, under former names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from types import MappingProxyType, ModuleType
from typing import Any

import pluggy
import pytest
from dummy_distributions import Dummy, encoder, plugin
from random_specs import architecture

import smp_core
from smp_core import plugin as plugin_api
from smp_core import registry
from smp_core.errors import MissingPluginError, NameConflictError, UnknownArchitectureError, UnknownEncoderError
from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl
from smp_core.registry import Registry
from smp_core.registry.discovery import LoadedPlugin, PluginRecord
from smp_core.registry.index import encoder_owner


def spec(name: str, **fields: Any) -> EncoderSpec:
    values = {"name": name, "target": "a:b", "out_channels": (3, 8, 16, 32), "reductions": (1, 2, 4, 8), **fields}
    return EncoderSpec(**values)


def family(
    distribution: str,
    resolve: Callable[[str], Any],
    names: Callable[[], Iterable[str]] | None = None,
    listed: tuple[EncoderSpec, ...] = (),
) -> LoadedPlugin:
    """A plugin that resolves names, and counts them where ``names`` is given."""
    module = ModuleType(distribution)
    module.smp_resolve_encoder = hookimpl(lambda name: resolve(name))  # type: ignore[attr-defined]
    if names is not None:
        module.smp_encoder_names = hookimpl(lambda: names())  # type: ignore[attr-defined]
    manager = pluggy.PluginManager(plugin_api.PROJECT_NAME)
    manager.add_hookspecs(plugin_api)
    manager.register(module)
    return LoadedPlugin(
        record=PluginRecord(distribution=distribution, version="1.2", module="m", resolves_encoders=True),
        encoders=MappingProxyType({item.name: item for item in listed}),
        architectures=MappingProxyType({"map": architecture(name="map", options={})}),
        manager=manager,
    )


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Put a registry of the given plugins in place of the real one."""

    def put(*loaded: LoadedPlugin) -> None:
        monkeypatch.setattr(registry, "_registry", Registry(loaded))

    return put


_WEIGHTS = {"weights": {"web": WeightsSpec(file="w")}, "default_weights": "web"}
_FAMILY = {
    "fam-a": spec("fam-a", license="MIT", dilation=(8,)),
    "fam-b": spec("fam-b", **_WEIGHTS),
    "fam-vit": spec("fam-vit", reductions=(16,) * 4, tokens=True, max_depth=4, scriptable=False, **_WEIGHTS),
}


def _all(*names: str) -> LoadedPlugin:
    return family("acme-fam", _FAMILY.get, lambda: names or [*_FAMILY], listed=(spec("listed"),))


# --- counted


def test_they_are_listed_on_request(install) -> None:
    install(_all(), family("acme", lambda name: None, listed=(spec("zoo"),)))
    assert smp_core.list_encoders() == ["listed", "zoo"]
    assert smp_core.list_encoders(open_families=True) == ["fam-a", "fam-b", "fam-vit", "listed", "zoo"]
    for name in smp_core.list_encoders(open_families=True):
        assert smp_core.describe(name).spec.name == name


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"provider": "Acme_FAM"}, ["fam-a", "fam-b", "fam-vit", "listed"]),
        ({"provider": "nobody"}, []),
        ({"weights": True}, ["fam-b", "fam-vit"]),
        ({"weights": False}, ["fam-a", "listed"]),
        ({"weights": "web", "capability": "tokens"}, ["fam-vit"]),
        ({"capability": "dilation"}, ["fam-a"]),
        ({"capability": "scriptable"}, ["fam-a", "fam-b", "listed"]),
        ({"license": "mit"}, ["fam-a"]),
    ],
)
def test_filters_hold_for_them(install, filters: dict[str, Any], names: list[str]) -> None:
    install(_all())
    assert smp_core.list_encoders(open_families=True, **filters) == names


def test_a_name_that_means_nothing_is_left_out(install) -> None:
    """Alone: the others of the family are listed."""
    install(_all("fam-a", "fam-gone", "tu-x", "", "fam-a", "no/such"))
    assert smp_core.list_encoders(open_families=True) == ["fam-a", "listed"]
    wrong = family("acme-liar", lambda name: spec("another"), lambda: ["liar"])
    install(_all(), wrong, family("acme-raises", lambda name: 1 / 0, lambda: ["broken"]))
    assert smp_core.list_encoders(open_families=True) == ["fam-a", "fam-b", "fam-vit", "listed"]


def _half() -> Iterable[str]:
    yield "fam-a"
    raise OSError("disk on fire")


@pytest.mark.parametrize(
    "names",
    [lambda: 1 / 0, lambda: "fam-a", lambda: None, lambda: 3, lambda: [3, None, ["fam-a"]], _half],
    ids=["raises", "a string", "None", "a number", "no strings", "raises midway"],
)
def test_a_plugin_that_cannot_count_counts_nothing(install, names: Callable[[], Any]) -> None:
    install(_all(), family("acme-bad", lambda name: spec(name) if name == "bad" else None, names))
    assert smp_core.list_encoders(open_families=True) == ["fam-a", "fam-b", "fam-vit", "listed"]
    assert smp_core.describe("bad").distribution == "acme-bad"


def test_names_are_as_short_as_they_can_be(install) -> None:
    """A name of two families, one that is listed elsewhere, and one that is another distribution's own."""
    more = family("Acme.Other", spec, lambda: ["fam-a", "listed", "tu-x", "own"])
    install(_all("fam-a"), more)
    assert smp_core.list_encoders(open_families=True) == [
        *("acme-fam/fam-a", "acme-other/fam-a", "acme-other/listed", "acme-other/tu-x"),
        *("listed", "own"),
    ]
    with pytest.raises(NameConflictError, match=r"^encoder 'fam-a' is provided by 2 plugins:"):
        smp_core.describe("fam-a")


def test_who_resolves_need_not_count(install) -> None:
    install(family("acme-fam", _FAMILY.get))
    assert smp_core.list_encoders(open_families=True) == []
    assert smp_core.describe("fam-a").qualified_name == "acme-fam/fam-a"


def test_a_misspelt_name_is_suggested(install) -> None:
    install(family("smp-timm", {"tu-convnext_tiny": spec("tu-convnext_tiny")}.get, lambda: ["tu-convnext_tiny"]))
    message = "encoder 'tu-convnext_tyni': smp-timm 1.2 does not provide it; did you mean 'tu-convnext_tiny'?"
    with pytest.raises(UnknownEncoderError, match=f"^{re.escape(message)}"):
        smp_core.describe("tu-convnext_tyni")


def test_counting_is_not_done_at_discovery(sandbox) -> None:
    more = (
        "import sys\n@hookimpl\ndef smp_resolve_encoder(name):\n"
        f"    return {encoder('NAME').replace(repr('NAME'), 'name')} if name.startswith('fam-') else None\n\n\n"
        "@hookimpl\ndef smp_encoder_names():\n    sys.counted = True\n    return ['fam-a', 'fam-b']\n"
    )
    sandbox.install(Dummy(name="acme-fam", source=plugin(encoders=[encoder("listed")], more=more)))
    script = (
        "import sys, smp_core\nbefore = smp_core.list_encoders()\nsmp_core.describe('fam-x')\n"
        "asked = hasattr(sys, 'counted')\nreport([before, asked, smp_core.list_encoders(open_families=True)])"
    )
    assert sandbox.run(script) == [["listed"], False, ["fam-a", "fam-b", "listed"]]


# --- explained


def test_a_family_may_explain_what_it_does_not_have(install) -> None:
    def resolve(name: str) -> EncoderSpec | None:
        if name.startswith("fam-a."):
            raise UnknownEncoderError("fam-a has no weights 'tag'; it has web")
        return _FAMILY.get(name)

    install(family("acme-fam", resolve), family("acme-raises", lambda name: 1 / 0))
    for name in ("fam-a.tag", "acme-fam/fam-a.tag"):
        with pytest.raises(
            UnknownEncoderError, match=r"^unknown encoder 'fam-a.tag'; fam-a has no weights 'tag'; it has web$"
        ):
            registry.resolve_encoder(name)
    # Another plugin that has the name is heard.
    install(family("acme-fam", resolve), family("acme-more", lambda name: spec(name)))
    assert registry.resolve_encoder("fam-a.tag").distribution == "acme-more"


# --- under former names


def test_a_resolver_may_answer_for_a_former_name(install) -> None:
    install(
        family("acme-fam", lambda name: spec("fam-a", former_names=("old-a",)) if name in ("fam-a", "old-a") else None)
    )
    found = registry.resolve_encoder("old-a")
    assert (found.spec.name, found.qualified_name) == ("fam-a", "acme-fam/fam-a")
    with pytest.warns(DeprecationWarning, match=r"^encoder='old-a' is a former name; write 'fam-a'$"):
        made = smp_core.blueprint("map", "old-a", encoder_weights=None)
    assert made == smp_core.blueprint("map", "fam-a", encoder_weights=None)
    assert made.to_config()["encoder_name"] == "fam-a"
    config = {**made.to_config(), "encoder_name": "old-a", "_smp_core": {}}  # as another library wrote it
    assert smp_core.Blueprint.from_config(config).encoder == made.encoder


def test_any_other_name_is_no_answer(install) -> None:
    install(family("acme-fam", lambda name: spec("fam-a", former_names=("old-a",))))
    with pytest.raises(
        UnknownEncoderError, match=r"returned EncoderSpec\(name='fam-a'.*expected None or an EncoderSpec n"
    ):
        registry.resolve_encoder("older-a")


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        *((name, "smp-timm") for name in ("timm-regnetx_002", "timm-regnety_320", "timm-gernet_s")),
        *((name, "smp-timm") for name in ("timm-res2net50_26w_4s", "timm-res2net101_26w_4s", "timm-res2next50")),
        *((name, "smp-timm") for name in ("timm-resnest14d", "timm-mobilenetv3_small_minimal_100", "tu-resnet18")),
        *(("timm-efficientnet-b0", "smp-efficientnet"), ("timm-skresnet18", "smp-sknet")),
        *(("timm-resnet18", None), ("timm-res2nes", None), ("regnetx_002", None), ("timm-regne", None), ("tu", None)),
    ],
)
def test_owners_of_open_names(install, name: str, owner: str | None) -> None:
    assert encoder_owner(name) == owner
    install()
    if owner is not None:
        with pytest.raises(
            MissingPluginError, match=f"^encoder '{name}' is provided by {owner}, which is not installed"
        ):
            registry.resolve_encoder(name)


# --- architectures


def _architectures(distribution: str, resolve: Callable[[str], Any], *names: str) -> LoadedPlugin:
    module = ModuleType(distribution)
    module.smp_resolve_architecture = hookimpl(lambda name: resolve(name))  # type: ignore[attr-defined]
    module.smp_architecture_names = hookimpl(lambda: names)  # type: ignore[attr-defined]
    manager = pluggy.PluginManager(plugin_api.PROJECT_NAME)
    manager.add_hookspecs(plugin_api)
    manager.register(module)
    return LoadedPlugin(
        record=PluginRecord(distribution=distribution, version="1.2", module="m", resolves_architectures=True),
        encoders=MappingProxyType({"listed": spec("listed")}),
        manager=manager,
    )


def _sized(name: str) -> Any:
    """The architectures ``net-<width>``, of which ``net-8`` was ``old-8``."""
    if name == "net-0":
        raise UnknownArchitectureError("there is no width of 0")
    if name not in ("net-8", "net-16", "net-32", "old-8"):
        return None
    former = ("old-8",) if name in ("net-8", "old-8") else ()
    return architecture(name="net-8" if former else name, class_name="Net", options={"width": 8}, former_names=former)


def test_architectures_of_an_open_family(install) -> None:
    install(_architectures("acme-nets", _sized, "net-8", "net-16", "net-0", "other"))
    assert smp_core.list_architectures() == []
    assert smp_core.list_architectures(open_families=True) == ["net-16", "net-8"]
    assert smp_core.list_architectures(open_families=True, provider="nobody") == []
    for name in ("net-32", "acme-nets/net-32"):
        assert registry.resolve_architecture(name).qualified_name == "acme-nets/net-32"
        assert smp_core.describe(name).kind == "architecture"
    made = smp_core.blueprint("net-32", "listed", encoder_weights=None)
    assert made.options == {"width": 8}
    assert smp_core.Blueprint.from_config(made.to_config()).architecture == made.architecture
    assert registry.resolve_architecture("old-8").spec.name == "net-8"


def test_architectures_that_a_family_does_not_have(install) -> None:
    install(_architectures("acme-nets", _sized, "net-8"), _architectures("acme-bad", lambda name: 3))
    message = "unknown architecture 'net-0'; there is no width of 0"
    with pytest.raises(UnknownArchitectureError, match=f"^{re.escape(message)}$"):
        registry.resolve_architecture("net-0")
    with pytest.raises(UnknownArchitectureError, match=r"^unknown architecture 'net8'; did you mean ") as raised:
        registry.resolve_architecture("net8")
    failure = "hook 'smp_resolve_architecture' returned 3; expected None or an ArchitectureSpec named 'net8'"
    assert failure in str(raised.value)
    with pytest.raises(UnknownArchitectureError, match=f"^{re.escape(message)}$"):
        smp_core.describe("net-0")


def test_an_encoder_family_explains_before_one_of_architectures(install) -> None:
    def refuse(name: str) -> Any:
        raise UnknownEncoderError("no encoder is of that size")

    module = ModuleType("acme-encoders")
    module.smp_resolve_encoder = hookimpl(refuse)  # type: ignore[attr-defined]
    manager = pluggy.PluginManager(plugin_api.PROJECT_NAME)
    manager.add_hookspecs(plugin_api)
    manager.register(module)
    record = PluginRecord(distribution="acme-encoders", version="1", module="m", resolves_encoders=True)
    install(LoadedPlugin(record=record, manager=manager), _architectures("acme-nets", _sized, "net-8"))
    with pytest.raises(UnknownEncoderError, match=r"^unknown encoder 'net-0'; no encoder is of that size"):
        smp_core.describe("net-0")
