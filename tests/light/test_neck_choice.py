"""Which neck is chosen where nobody names one: over specs of every kind, and by name."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_specs import (
    architecture,
    architectures,
    depths,
    encoder,
    encoders,
    neck,
    necks,
    output_strides,
)

import smp_core
from smp_core import registry
from smp_core._specs.registered import Registered
from smp_core.blueprints import compatibility
from smp_core.blueprints.compatibility import neck_levels, violations
from smp_core.blueprints.necks import choose
from smp_core.blueprints.request import Request
from smp_core.errors import IncompatibleError, OptionError, UnknownNeckError
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec
from smp_core.registry import Registry
from smp_core.registry.discovery import LoadedPlugin, PluginRecord


def _registered(specs: list[NeckSpec]) -> list[Registered[NeckSpec]]:
    return [Registered(spec, "acme-smp-necks", "1") for spec in specs]


_wanted = st.just(Request()) | st.builds(Request, encoder_depth=depths, encoder_output_stride=output_strides)
_several = st.lists(necks(), max_size=4).map(_registered)
# Beside specs of every kind, which seldom fit, the usual ones, which do with a neck.
_architectures = architectures() | st.builds(
    architecture, requires=st.sampled_from([(), (4,)]), dilation=st.sampled_from([(), (16, 8)])
)
_encoders = encoders() | st.sampled_from(
    [
        encoder(reductions=(16,) * 6, tokens=True, max_depth=6),
        encoder(reductions=(1, 7, 14, 28), out_channels=(3, 8, 16, 32), min_depth=3),
    ]
)


def _asked(arch: ArchitectureSpec, spec: EncoderSpec, request: Request, neck: NeckSpec | None) -> compatibility.Choice:
    return compatibility.choose(arch, spec, request.encoder_depth, request.encoder_output_stride, None, neck)


def _begins_below(arch: ArchitectureSpec, spec: EncoderSpec, request: Request) -> bool:
    """Whether the encoder has nothing at the architecture's default depth, and nobody asked for another."""
    if request.encoder_depth is not None or spec.min_depth == spec.max_depth:
        return False
    return _asked(arch, spec, request, None).depth > arch.default_depth


# --- over specs


@given(_architectures, _encoders, _wanted, _several)
def test_what_is_chosen_has_no_violations(
    arch: ArchitectureSpec, spec: EncoderSpec, request: Request, among: list[Registered[NeckSpec]]
) -> None:
    found = choose(arch, spec, request, among)
    if found is not None:
        asked = _asked(arch, spec, request, found.spec)
        assert violations(arch, spec, asked, found.spec) == []
        assert spec.min_depth <= asked.depth <= spec.max_depth
        assert neck_levels(arch, found.spec, asked.output_stride)


@given(_architectures, _encoders, _wanted, _several)
def test_nothing_is_chosen_where_the_encoder_fits(
    arch: ArchitectureSpec, spec: EncoderSpec, request: Request, among: list[Registered[NeckSpec]]
) -> None:
    if not violations(arch, spec, _asked(arch, spec, request, None)) and not _begins_below(arch, spec, request):
        assert choose(arch, spec, request, among) is None


def test_an_encoder_that_begins_below_the_default_depth_gets_a_neck() -> None:
    """An architecture with one upsampling (PSPNet) gives the image's size at its default depth alone."""
    arch, spec = (
        architecture(default_depth=3, max_depth=5),
        encoder(reductions=(1, 16, 32), out_channels=(3, 8, 16), min_depth=4),
    )
    among = _registered([neck(reductions=(4, 8, 16, 32), pyramid=True, default=True)])
    assert choose(arch, spec, Request(), among) is among[0]
    assert choose(arch, spec, Request(encoder_depth=4), among) is None
    assert choose(arch, spec, Request(), []) is None


@given(_architectures, _encoders, _wanted, _several)
def test_the_first_that_fits_is_chosen_every_time(
    arch: ArchitectureSpec, spec: EncoderSpec, request: Request, among: list[Registered[NeckSpec]]
) -> None:
    found = choose(arch, spec, request, among)
    assert choose(arch, spec, request, iter(among)) is found
    if found is not None:
        before = among[: next(number for number, item in enumerate(among) if item is found)]
        assert choose(arch, spec, request, before) is None
        assert choose(arch, spec, request, [found, *among]) is found


@given(_architectures, _encoders, _wanted, _several)
def test_a_neck_is_chosen_for_features_alone(
    arch: ArchitectureSpec, spec: EncoderSpec, request: Request, among: list[Registered[NeckSpec]]
) -> None:
    """A wrong depth or output stride over the right features is the user's to mend, not a neck's."""
    features = spec.features_at_depth(_asked(arch, spec, request, None).depth)[1]
    powers = {2**exponent for exponent in range(10)}
    kind = arch.tokens or arch.accepts_tokens if spec.tokens else not arch.tokens
    levels = not arch.pyramid or powers.issuperset(features)
    if _begins_below(arch, spec, request):
        return
    if kind and levels and (not features or set(arch.requires).issubset(features)):
        assert choose(arch, spec, request, among) is None


@given(_architectures, necks(), st.none() | st.sampled_from([8, 16, 32]))
def test_the_levels_of_a_neck_are_its_first(arch: ArchitectureSpec, spec: NeckSpec, stride: int | None) -> None:
    levels = neck_levels(arch, spec, stride)
    assert levels == spec.reductions[: len(levels)]
    limits = [2**arch.default_depth] + ([stride] if stride and arch.dilation else [])
    assert all((level in levels) == (level <= min(limits)) for level in spec.reductions)


@given(_architectures, _encoders, st.lists(necks(), max_size=3))
def test_compatible_and_blueprint_agree(arch: ArchitectureSpec, spec: EncoderSpec, found: list[NeckSpec]) -> None:
    named = {f"n{number}": neck(**{**vars(item), "name": f"n{number}"}) for number, item in enumerate(found)}
    loaded = _plugin("acme-smp", necks=[*named.values()], encoders=[spec], architectures=[_with_options(arch)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registry", Registry([loaded]))
        answer = smp_core.compatible("a", "e")
        if not answer:
            with pytest.raises(IncompatibleError, match=f"^{re.escape('; '.join(answer.reasons))}$"):
                smp_core.blueprint("a", "e", encoder_weights=None)
            return
        made = smp_core.blueprint("a", "e", encoder_weights=None)
        assert smp_core.Blueprint.from_config(made.to_config()) == made
        assert made.changed(classes=3).neck == made.neck
    expected = choose(arch, spec, Request(), _registered([*named.values()]))
    assert (made.neck.spec if made.neck else None) == (expected.spec if expected else None)


def _with_options(arch: ArchitectureSpec) -> ArchitectureSpec:
    return architecture(**{**vars(arch), "options": {}})


# --- by name


def _plugin(
    distribution: str,
    *,
    necks: list[NeckSpec] | None = None,
    encoders: list[EncoderSpec] | None = None,
    architectures: list[ArchitectureSpec] | None = None,
) -> LoadedPlugin:
    return LoadedPlugin(
        record=PluginRecord(distribution=distribution, version="1", module="m"),
        encoders=MappingProxyType({item.name: item for item in encoders or []}),
        architectures=MappingProxyType({item.name: item for item in architectures or []}),
        necks=MappingProxyType({item.name: item for item in necks or []}),
    )


_PARTS = _plugin(
    "acme-smp",
    encoders=[
        encoder(name="net", dilation=(8, 16)),
        encoder(name="odd", reductions=(1, 7, 14, 28), out_channels=(3, 8, 16, 32), min_depth=3),
        encoder(name="vit", reductions=(16,) * 6, tokens=True, max_depth=6),
    ],
    architectures=[
        architecture(name="map", options={}),
        architecture(name="atrous", options={}, dilation=(16, 8)),
        architecture(name="shallow", options={}, default_depth=3),
        architecture(name="dense", options={}, tokens=True, pyramid=False, default_depth=4, min_depth=1, max_depth=6),
        architecture(name="either", options={}, accepts_tokens=True, pyramid=False),
    ],
)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Put a registry of the parts above and further plugins in place of the real one."""

    def put(*loaded: LoadedPlugin) -> None:
        monkeypatch.setattr(registry, "_registry", Registry([*loaded, _PARTS]))

    return put


def make(arch: str, spec: str, **arguments: Any) -> smp_core.Blueprint:
    return smp_core.blueprint(arch, spec, encoder_weights=None, **arguments)


def test_first_party_necks_come_first(install) -> None:
    """Wherever a stranger's comes in the order of discovery, and whatever it is called."""
    stranger = _plugin("acme-aaa", necks=[neck(name="aaa"), neck(name="simple_pyramid")])
    ours = _plugin("smp-necks", necks=[neck(name="simple_pyramid", pyramid=False), neck(name="regrid", tokens=False)])
    install(stranger, ours)
    assert make("map", "vit").neck.qualified_name == "smp-necks/simple_pyramid"
    assert make("map", "odd").neck.qualified_name == "smp-necks/regrid"
    found = registry.resolve_parts("map", "vit", None).default_necks
    assert [item.distribution for item in found] == ["smp-necks"] * 2 + ["acme-aaa"] * 2
    install(stranger)
    assert make("map", "vit").neck.qualified_name == "acme-aaa/aaa"
    assert make("map", "vit", neck="acme-aaa/simple_pyramid").neck.spec.name == "simple_pyramid"


def test_only_a_neck_that_says_so_is_chosen(install) -> None:
    install(_plugin("acme-necks", necks=[neck(name="shy", default=False)]))
    with pytest.raises(IncompatibleError, match=r"encoder 'vit' has reductions \(16, .*\): name a neck that makes a "):
        make("map", "vit")
    assert not smp_core.compatible("map", "vit")
    assert make("map", "vit", neck="shy").neck.spec.name == "shy"
    assert smp_core.compatible("map", "vit", neck="shy")


def test_who_is_named_is_not_replaced(install) -> None:
    """Neither by one that would fit, nor where none is needed."""
    install(_plugin("acme-necks", necks=[neck(), neck(name="odd", reductions=(4, 12))]))
    with pytest.raises(IncompatibleError, match=r"needs a feature pyramid .*; neck 'odd' has reductions \(4, 12\)$"):
        make("map", "vit", neck="odd")
    assert make("map", "net").neck is None
    assert make("map", "net", neck="n").neck.spec.name == "n"
    with pytest.raises(UnknownNeckError, match=r"^unknown neck 'm'"):
        make("map", "vit", neck="m")


def test_what_takes_tokens_gets_them(install) -> None:
    install(_plugin("acme-necks", necks=[neck()]))
    for arch in ("dense", "either"):
        assert make(arch, "vit").neck is None
    assert make("map", "vit").neck.spec.name == "n"
    assert make("either", "net").neck is None
    with pytest.raises(
        IncompatibleError, match=r"^architecture 'dense' needs prefix tokens of a plain transformer; enc"
    ):
        make("dense", "net")


def test_the_encoders_depth_follows_the_neck(install) -> None:
    install(_plugin("acme-necks", necks=[neck()]))
    assert [(made := make("map", "vit")).depth, made.output_stride] == [4, None]  # one feature for each level
    assert make("shallow", "vit").depth == 2  # for levels 4 and 8
    assert [(made := make("atrous", "vit")).depth, made.output_stride] == [3, 16]  # 4, 8, 16
    assert make("atrous", "vit", encoder_output_stride=8).depth == 2
    assert make("map", "odd").depth == 5  # as deep as the deepest level
    assert make("map", "vit", encoder_depth=1).depth == 1
    assert make("map", "vit", encoder_output_indices=[0, 3, 5]).depth == 3


def test_wrong_values_are_told_as_without_a_neck(install) -> None:
    install(_plugin("acme-necks", necks=[neck()]))
    with pytest.raises(OptionError, match=r"^the encoder depth must be an int, got '3'$"):
        make("map", "vit", encoder_depth="3")
    with pytest.raises(IncompatibleError, match=r"^encoder 'vit' takes encoder_depth 1..6, not 7; architecture 'map' "):
        make("map", "vit", encoder_depth=7)
    with pytest.raises(
        IncompatibleError, match=r"architecture 'atrous' takes an encoder_output_stride of 8, 16, not 4"
    ):
        make("atrous", "vit", encoder_output_stride=4)


def test_a_neck_does_not_ask_the_encoder_for_dilation(install) -> None:
    """The neck makes the levels, at the resolution that the architecture wants."""
    install(_plugin("acme-necks", necks=[neck()]))
    assert smp_core.compatible("atrous", "odd")
    assert not smp_core.compatible("map", "odd", encoder_output_stride=8)


def test_a_chosen_neck_is_a_named_one_ever_after(install) -> None:
    install(_plugin("acme-necks", necks=[neck()]))
    made = make("map", "vit")
    assert made == make("map", "vit", neck="n") == make("map", "vit", neck="acme-necks/n")
    assert made.to_config()["_smp_core"]["neck"] == {
        "distribution": "acme-necks",
        "version": "1",
        "name": "acme-necks/n",
    }
    assert made.changed(classes=2) == make("map", "vit", classes=2)
    assert made.changed(encoder_depth=2).neck == made.neck
    before = smp_core.Blueprint.from_config(made.to_config())
    install(_plugin("acme-necks", necks=[neck()]), _plugin("smp-necks", necks=[neck(name="simple_pyramid")]))
    # A saved model keeps the neck that it was made with, although another would be chosen today.
    assert smp_core.Blueprint.from_config(made.to_config()) == before == made
    assert make("map", "vit").neck.spec.name == "simple_pyramid"


def test_none_is_chosen_for_a_saved_model(install) -> None:
    """Its tensors were made without one."""
    install(_plugin("acme-necks", necks=[neck()]))
    config = make("map", "vit").to_config()
    del config["_smp_core"]["neck"]
    with pytest.raises(IncompatibleError, match=r"^architecture 'map' needs a feature pyramid .*: name a neck that ma"):
        smp_core.Blueprint.from_config(config)
