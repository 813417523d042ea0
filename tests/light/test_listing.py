"""Listing, filters, describe and compatible, over dummies and over whatever is installed here."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

import pytest
from dummy_distributions import Dummy, architecture, encoder, plugin
from hypothesis import given
from hypothesis import strategies as st

import smp_core
from smp_core import registry
from smp_core.errors import MissingPluginError, NameConflictError, OptionError, RegistryError, UnknownEncoderError
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec, WeightsSpec
from smp_core.registry import Registry
from smp_core.registry.discovery import LoadedPlugin, PluginRecord


def _encoder(name: str, **fields: Any) -> EncoderSpec:
    values = {"name": name, "target": "a:b", "out_channels": (3, 8, 16), "reductions": (1, 2, 4), **fields}
    return EncoderSpec(**values)


def _architecture(name: str, **fields: Any) -> ArchitectureSpec:
    return ArchitectureSpec(**{"name": name, "class_name": "A", "target": "a:b", **fields})


def _neck(name: str, **fields: Any) -> NeckSpec:
    return NeckSpec(**{"name": name, "target": "a:b", "reductions": (4, 8), **fields})


def _loaded(
    distribution: str,
    encoders: list[EncoderSpec],
    architectures: list[ArchitectureSpec],
    necks: tuple[NeckSpec, ...] = (),
) -> LoadedPlugin:
    return LoadedPlugin(
        record=PluginRecord(distribution=distribution, version="1", module="m"),
        encoders=MappingProxyType({spec.name: spec for spec in encoders}),
        architectures=MappingProxyType({spec.name: spec for spec in architectures}),
        necks=MappingProxyType({spec.name: spec for spec in necks}),
    )


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Put a registry of the given plugins in place of the real one."""

    def put(*loaded: LoadedPlugin) -> None:
        monkeypatch.setattr(registry, "_registry", Registry(loaded))

    return put


# Names that are nobody's, first-party names, and names of an open family; distributions that own some of them.
_NAMES = ["a", "b", "c", "resnet18", "resnet34", "vgg11", "tu-x"]
_DISTRIBUTIONS = ["acme-smp-one", "Acme.SMP_two", "smp-resnet", "SMP_vgg", "smp-timm"]


@given(st.dictionaries(st.sampled_from(_DISTRIBUTIONS), st.sets(st.sampled_from(_NAMES))))
def test_every_listed_name_resolves_to_another_spec(installed: dict[str, set[str]]) -> None:
    specs = {name: [_encoder(item) for item in sorted(names)] for name, names in installed.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registry", Registry(_loaded(name, found, []) for name, found in specs.items()))
        listed = smp_core.list_encoders()
        found = [registry.resolve_encoder(name) for name in listed]
        described = [smp_core.describe(name) for name in listed]
    assert listed == sorted(set(listed))
    assert described == found
    # As many names as specs, and no two names for one spec.
    assert {id(item.spec) for item in found} == {id(spec) for listed in specs.values() for spec in listed}
    assert len(found) == sum(map(len, installed.values()))


def test_every_name_that_is_listed_here_resolves() -> None:
    names = [*smp_core.list_encoders(), *smp_core.list_architectures()]
    found = [registry.resolve_encoder(name) for name in smp_core.list_encoders()]
    found += [registry.resolve_architecture(name) for name in smp_core.list_architectures()]
    for name, item in zip(names, found, strict=True):
        assert name in (item.spec.name, item.qualified_name)


def test_names_are_as_short_as_they_can_be(install) -> None:
    install(
        _loaded("acme-smp-one", [_encoder("own"), _encoder("twin"), _encoder("resnet18")], []),
        _loaded("acme-smp-two", [_encoder("twin"), _encoder("tu-x")], []),
        _loaded("smp_resnet", [_encoder("resnet18")], []),
    )
    assert smp_core.list_encoders() == [
        *("acme-smp-one/resnet18", "acme-smp-one/twin", "acme-smp-two/tu-x", "acme-smp-two/twin"),
        *("own", "resnet18"),
    ]
    assert smp_core.list_architectures() == []


@pytest.fixture
def zoo(install) -> None:
    weights = {"imagenet": WeightsSpec(file="w")}
    install(
        _loaded(
            "acme-smp-one",
            [
                _encoder("plain", license="MIT", scriptable=False),
                _encoder("trained", weights=weights, default_weights="imagenet", license="Apache-2.0"),
                _encoder("dilated", dilation=(8, 16), license="mit"),
            ],
            [_architecture("pyramidal", license="MIT")],
        ),
        _loaded(
            "Acme.Tokens",
            [
                _encoder(
                    "vit",
                    tokens=True,
                    max_depth=3,
                    weights={**weights, "dino": WeightsSpec(file="d")},
                    default_weights="dino",
                )
            ],
            [
                _architecture("atrous", dilation=(16, 8)),
                _architecture("dense", tokens=True, pyramid=False, scriptable=False),
            ],
        ),
    )


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["dilated", "plain", "trained", "vit"]),
        ({"provider": "acme_smp-ONE"}, ["dilated", "plain", "trained"]),
        ({"provider": "nobody"}, []),
        ({"weights": True}, ["trained", "vit"]),
        ({"weights": False}, ["dilated", "plain"]),
        ({"weights": "imagenet"}, ["trained", "vit"]),
        ({"weights": "dino"}, ["vit"]),
        ({"weights": "none such"}, []),
        ({"capability": "dilation"}, ["dilated"]),
        ({"capability": "tokens"}, ["vit"]),
        ({"capability": "scriptable"}, ["dilated", "trained", "vit"]),
        ({"license": "MIT"}, ["dilated", "plain"]),
        ({"license": "GPL-3.0-only"}, []),
        ({"license": "MIT", "capability": "dilation", "provider": "acme-smp-one", "weights": False}, ["dilated"]),
    ],
)
@pytest.mark.usefixtures("zoo")
def test_encoder_filters(filters: dict[str, Any], names: list[str]) -> None:
    assert smp_core.list_encoders(**filters) == names


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["atrous", "dense", "pyramidal"]),
        ({"provider": "acme-tokens"}, ["atrous", "dense"]),
        ({"capability": "dilation"}, ["atrous"]),
        ({"capability": "tokens"}, ["dense"]),
        ({"capability": "scriptable"}, ["atrous", "pyramidal"]),
        ({"license": "mit"}, ["pyramidal"]),
    ],
)
@pytest.mark.usefixtures("zoo")
def test_architecture_filters(filters: dict[str, Any], names: list[str]) -> None:
    assert smp_core.list_architectures(**filters) == names


@pytest.mark.usefixtures("zoo")
def test_an_unknown_capability() -> None:
    message = "unknown capability 'flight'; expected one of dilation, tokens, scriptable"
    for function in (smp_core.list_encoders, smp_core.list_architectures):
        with pytest.raises(OptionError, match=message):
            function(capability="flight")


def test_filters_are_keywords() -> None:
    with pytest.raises(TypeError, match="takes 0 positional arguments but 1 was given"):
        smp_core.list_encoders("acme-smp-one")  # type: ignore[misc]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        smp_core.list_encoders(colour="blue")  # type: ignore[call-arg]


@pytest.mark.usefixtures("zoo")
def test_describe() -> None:
    found = smp_core.describe("vit")
    assert (found.spec.name, found.distribution, found.version) == ("vit", "Acme.Tokens", "1")
    assert found.qualified_name == "acme-tokens/vit"
    assert smp_core.describe("acme-tokens/dense").spec.class_name == "A"
    with pytest.raises(UnknownEncoderError, match=r"^unknown encoder 'dens'.*\nOr the architecture 'dense'\?$"):
        smp_core.describe("dens")
    with pytest.raises(UnknownEncoderError, match=r"^unknown encoder 'zzzzzzz'; installed are [^\n]+$"):
        smp_core.describe("zzzzzzz")
    with pytest.raises(RegistryError, match="architecture 'unet' is provided by smp-unet, which is not installed"):
        smp_core.describe("unet")


def test_a_name_of_both_kinds_means_the_architecture(install) -> None:
    install(
        _loaded("acme-smp-one", [_encoder("both")], [_architecture("both")]),
        _loaded("acme-smp-two", [_encoder("unet"), _encoder("pan")], []),
    )
    assert isinstance(smp_core.describe("both").spec, ArchitectureSpec)
    assert isinstance(smp_core.describe("acme-smp-two/unet").spec, EncoderSpec)
    assert [smp_core.describe(name).spec.name for name in smp_core.list_encoders()] == ["both", "pan", "unet"]


def test_necks_are_listed_and_described(install) -> None:
    install(
        _loaded("acme-smp-one", [], [], (_neck("own"), _neck("twin"), _neck("regrid"))),
        _loaded("Acme.Two", [], [], (_neck("twin", default=True),)),
    )
    assert smp_core.list_necks() == ["acme-smp-one/regrid", "acme-smp-one/twin", "acme-two/twin", "own"]
    assert smp_core.list_necks(provider="acme_two") == ["acme-two/twin"]
    for name in smp_core.list_necks():
        found = smp_core.describe(name)
        assert (found.kind, name in (found.spec.name, found.qualified_name)) == ("neck", True)
    with pytest.raises(NameConflictError, match=r"^neck 'twin' is provided by 2 plugins:\n"):
        smp_core.describe("twin")
    with pytest.raises(UnknownEncoderError, match=r"^unknown encoder 'owm'; .*\nOr the neck 'own'\?$"):
        smp_core.describe("owm")


def test_a_first_party_neck_that_is_not_installed_says_so(install) -> None:
    install(_loaded("acme-smp-one", [_encoder("regrid")], [], (_neck("simple_pyramid"),)))
    message = (
        "neck 'simple_pyramid' is provided by smp-necks, which is not installed; run: pip install smp-necks "
        "(other plugins have one of that name: 'acme-smp-one/simple_pyramid')"
    )
    with pytest.raises(MissingPluginError, match=f"^{re.escape(message)}$"):
        smp_core.describe("simple_pyramid")
    assert smp_core.describe("acme-smp-one/simple_pyramid").kind == "neck"
    # An encoder of that name is nobody else's.
    assert smp_core.describe("regrid").qualified_name == "acme-smp-one/regrid"


def test_a_name_of_three_kinds_means_the_architecture_then_the_neck(install) -> None:
    install(
        _loaded("acme-smp-one", [_encoder("all")], [_architecture("all")], (_neck("all"),)),
        _loaded("acme-smp-two", [_encoder("all")], [], (_neck("all"),)),
        _loaded("acme-smp-three", [_encoder("all")], []),
    )
    kinds = [smp_core.describe(f"{name}all").kind for name in ("", "acme-smp-one/", "acme-smp-two/", "acme-smp-three/")]
    assert kinds == ["architecture", "architecture", "neck", "encoder"]


@pytest.mark.usefixtures("zoo")
def test_compatible() -> None:
    assert smp_core.compatible("pyramidal", "dilated", encoder_depth=3)
    assert smp_core.compatible("pyramidal", "dilated", encoder_depth=2).reasons == (
        "architecture 'pyramidal' takes encoder_depth 3..5, not 2",
    )
    assert not smp_core.compatible("dense", "plain")
    answer = smp_core.compatible("dense", "vit", encoder_depth=3)
    assert (answer.ok, answer.reasons, bool(answer)) == (True, (), True)
    assert smp_core.compatible("atrous", "dilated", encoder_output_stride=8)
    assert smp_core.compatible("atrous", "plain", encoder_output_stride=32).reasons == (
        "architecture 'atrous' takes an encoder_output_stride of 8, 16, not 32",
    )
    with pytest.raises(RegistryError, match="unknown encoder 'nobody'"):
        smp_core.compatible("dense", "nobody")
    with pytest.raises(RegistryError, match="unknown architecture 'nothing'"):
        smp_core.compatible("nothing", "vit")
    with pytest.raises(OptionError, match="the encoder depth must be an int, got '3'"):
        smp_core.compatible("dense", "vit", encoder_depth="3")  # type: ignore[arg-type]


def test_plugins_come_in_the_order_of_their_names(sandbox) -> None:
    names = ["Zeta-smp", "acme.smp-b", "Acme-SMP_a", "smp-resnet"]
    for name in names:
        Dummy(
            name=name, source=plugin(encoders=[encoder(name[0] + "x")], architectures=[architecture(name[-1])])
        ).install(sandbox.target)
    script = (
        "import smp_core\nreport([[record.distribution for record in smp_core.plugins()], smp_core.list_encoders()])"
    )
    assert sandbox.run(script) == [["Acme-SMP_a", "acme.smp-b", "smp-resnet", "Zeta-smp"], ["Ax", "Zx", "ax", "sx"]]


def test_a_record_tells_how_long_loading_took(sandbox) -> None:
    source = "import time\ntime.sleep(0.05)\n" + plugin(encoders=[encoder("late")])
    sandbox.install(Dummy(name="acme-smp-late", source=source))
    assert 0.05 <= sandbox.run("import smp_core\nreport(smp_core.plugins()[0].load_seconds)") < 30
