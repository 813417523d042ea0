"""What was called otherwise: former options and names, other spellings, first-party names, and older or newer files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import smp_core
from smp_core import registry
from smp_core.errors import InvalidSpecError, MissingPluginError, NameConflictError, OptionError, UnknownEncoderError
from smp_core.plugin import ArchitectureSpec, EncoderSpec, FormerOption, Migration, NeckSpec
from smp_core.registry import Registry
from smp_core.registry.discovery import LoadedPlugin, PluginRecord


def encoder(name: str = "net", **fields: Any) -> EncoderSpec:
    values = {"out_channels": (3, 8, 16, 32, 64, 128), "reductions": (1, 2, 4, 8, 16, 32), "dilation": (8, 16)}
    return EncoderSpec(**{"name": name, "target": "not_there:Encoder", **values, **fields})


def architecture(name: str = "map", class_name: str = "Map", **fields: Any) -> ArchitectureSpec:
    values = {"target": "not_there:Model", "options": {"width": 8, "norm": "batchnorm"}, **fields}
    return ArchitectureSpec(name=name, class_name=class_name, **values)


def neck(name: str = "pyramid", **fields: Any) -> NeckSpec:
    return NeckSpec(**{"name": name, "target": "not_there:Neck", "reductions": (4, 8, 16), "pyramid": True, **fields})


Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """``install(*specs, distribution=..., version=...)`` adds a plugin to those of the test."""
    monkeypatch.setattr(registry, "_registry", Registry([]))

    def add(*specs: Any, distribution: str = "acme-smp", version: str = "1.2.3") -> None:
        found = {kind: {spec.name: spec for spec in specs if isinstance(spec, kind)} for kind in (*_KINDS,)}
        loaded = LoadedPlugin(
            record=PluginRecord(distribution=distribution, version=version, module="m"),
            **{_KINDS[kind]: specs for kind, specs in found.items()},
        )
        monkeypatch.setattr(registry, "_registry", Registry([*registry._registry.loaded, loaded]))

    return add


_KINDS: dict[type, str] = {EncoderSpec: "encoders", ArchitectureSpec: "architectures", NeckSpec: "necks"}


def make(arch: str = "map", name: str = "net", **arguments: Any) -> smp_core.Blueprint:
    return smp_core.blueprint(arch, name, **{"encoder_weights": None, **arguments})


def read(**values: Any) -> smp_core.Blueprint:
    """The blueprint of a config as SMP writes it."""
    return smp_core.Blueprint.from_config({"_model_class": "Map", "encoder_name": "net", **values})


def deprecated(message: str) -> Any:
    return pytest.warns(DeprecationWarning, match=f"^{re.escape(message)}$")


_FORMER = {
    "use_batchnorm": FormerOption(now="norm", values={True: "batchnorm", False: "identity"}),
    "channels": FormerOption(now="width"),
    "idle": FormerOption(now="width", wins=False),
    "num_classes": FormerOption(now="classes"),
    "dilation": FormerOption(now="encoder_output_stride", values={True: 8, False: 16}, wins=False),
}


@pytest.fixture
def renamed(install: Install) -> Install:
    """A plugin whose options were called otherwise."""
    install(encoder(), architecture(former_options=_FORMER, dilation=(16, 8)))
    return install


# --- options


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ({"use_batchnorm": True}, {"norm": "batchnorm"}),
        ({"use_batchnorm": False}, {"norm": "identity"}),
        ({"use_batchnorm": "inplace"}, {"norm": "inplace"}),
        ({"use_batchnorm": {"type": "layernorm"}}, {"norm": {"type": "layernorm"}}),
        ({"channels": [4, [2]]}, {"width": [4, [2]]}),
        ({"channels": ([4], 2)}, {"width": ([4], 2)}),
        ({"dilation": True}, {"encoder_output_stride": 8}),
        ({"num_classes": 4}, {"classes": 4}),
    ],
)
@pytest.mark.usefixtures("renamed")
def test_a_former_option_is_translated_and_todays_is_told(former: dict[str, Any], now: dict[str, Any]) -> None:
    ((old, value),), ((new, meant),) = former.items(), now.items()
    with deprecated(f"{old}={value!r} is a former spelling; write {new}={meant!r}") as caught:
        made = make(**former)
    assert [item.filename for item in caught] == [__file__]
    assert made == make(**now)


@pytest.mark.parametrize(("former", "now"), [({"use_batchnorm": 1}, "norm"), ({"num_classes": 4}, "classes")])
@pytest.mark.usefixtures("renamed")
def test_both_spellings_are_an_error(former: dict[str, Any], now: str) -> None:
    (old,) = former
    with pytest.raises(OptionError, match=f"^{old} is a former spelling of {now}, and both are given; drop {old}$"):
        make(**former, **{now: 2})


@pytest.mark.usefixtures("renamed")
def test_everything_that_is_wrong_with_former_options_is_said_at_once() -> None:
    with pytest.raises(OptionError, match=r"^3 things are wrong:\n") as caught:
        make(use_batchnorm=True, norm="identity", channels=2, width=3, in_channels=0)
    for part in ("use_batchnorm is a former", "channels is a former", "in_channels must be an int of at least 1"):
        assert f"\n  {part}" in str(caught.value)


@pytest.mark.parametrize("change", [{"use_batchnorm": False}, {"dilation": True}, {"num_classes": 4}])
@pytest.mark.usefixtures("renamed")
def test_a_former_option_changes_a_blueprint(change: dict[str, Any]) -> None:
    with pytest.warns(DeprecationWarning, match="is a former spelling; write "):
        changed = make(width=3).changed(**change)
    with pytest.warns(DeprecationWarning, match="is a former spelling; write "):
        assert changed == make(width=3, **change)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"use_batchnorm": False}, {"norm": "identity"}),
        ({"use_batchnorm": False, "norm": "layernorm"}, {"norm": "identity"}),
        ({"use_batchnorm": None, "norm": "layernorm"}, {"norm": "layernorm"}),
        ({"use_batchnorm": None}, {"norm": "batchnorm"}),
        ({"idle": 3, "width": 4}, {"width": 4}),
        ({"idle": 3}, {"width": 3}),
        ({"dilation": True}, {"encoder_output_stride": 8}),
        ({"dilation": True, "encoder_output_stride": 16}, {"encoder_output_stride": 16}),
        ({"dilation": None}, {}),
        ({"num_classes": 4, "classes": 2}, {"classes": 4}),
    ],
)
@pytest.mark.usefixtures("renamed")
def test_a_saved_model_just_is_older(written: dict[str, Any], meant: dict[str, Any]) -> None:
    assert read(**written) == make(**meant)


# --- names


@pytest.fixture
def moved(install: Install) -> Install:
    """A plugin whose parts were called otherwise."""
    install(
        encoder(former_names=("net-old",)),
        architecture(former_names=("chart", "OldMap")),
        neck(former_names=("ladder",)),
    )
    return install


@pytest.mark.parametrize(
    ("argument", "name", "now"),
    [
        ("encoder", "net-old", "net"),
        ("arch", "chart", "map"),
        ("arch", "CHART", "map"),
        ("arch", "oldmap", "map"),
        ("neck", "ladder", "pyramid"),
    ],
)
@pytest.mark.usefixtures("moved")
def test_a_former_name_means_the_same_and_todays_is_told(argument: str, name: str, now: str) -> None:
    arguments = {"arch": "map", "encoder": "net", "encoder_weights": None, argument: now}
    expected = smp_core.blueprint(**arguments)
    with deprecated(f"{argument}={name!r} is a former name; write {now!r}") as caught:
        assert smp_core.blueprint(**{**arguments, argument: name}) == expected
    assert [item.filename for item in caught] == [__file__]


@pytest.mark.parametrize(("argument", "name"), [("encoder", "net-old"), ("arch", "chart"), ("neck", "ladder")])
def test_what_a_qualified_former_name_advises_works(moved: Install, argument: str, name: str) -> None:
    moved(encoder(), architecture(), neck(), distribution="acme-other")
    arguments = {"arch": "acme-smp/map", "encoder": "acme-smp/net", "neck": "acme-smp/pyramid", "encoder_weights": None}
    expected = smp_core.blueprint(**arguments)
    with pytest.warns(DeprecationWarning, match=f"^{argument}='acme-smp/{name}' is a former name; write ") as caught:
        assert smp_core.blueprint(**{**arguments, argument: f"acme-smp/{name}"}) == expected
    advised = str(caught[0].message).rpartition("write ")[2].strip("'")
    assert smp_core.blueprint(**{**arguments, argument: advised}) == expected


@pytest.mark.usefixtures("moved")
def test_a_saved_model_may_have_former_names() -> None:
    for class_name in ("Map", "OldMap", "Chart"):
        assert read(_model_class=class_name, encoder_name="net-old") == make()
    config = make(neck="pyramid").to_config()
    for part, name in (("architecture", "chart"), ("encoder", "net-old"), ("neck", "ladder")):
        config["_smp_core"][part]["name"] = f"acme-smp/{name}"
    assert smp_core.Blueprint.from_config(config) == make(neck="pyramid")


def test_a_name_of_today_comes_before_a_former_one(moved: Install) -> None:
    moved(encoder("net-old"), architecture("chart", "Chart"), distribution="acme-other")
    made = make("chart", "net-old")
    assert (made.architecture.qualified_name, made.encoder.qualified_name) == ("acme-other/chart", "acme-other/net-old")
    assert read(_model_class="Chart").architecture.qualified_name == "acme-other/chart"


def test_a_former_name_of_two_plugins_is_a_conflict(moved: Install) -> None:
    moved(encoder("other", former_names=("net-old",)), distribution="acme-other")
    with pytest.raises(NameConflictError, match=r"^encoder 'net-old' is provided by 2 plugins:\n  acme-smp 1.2.3: "):
        make(name="net-old")


def test_an_architecture_in_any_case_and_by_its_class(install: Install) -> None:
    install(encoder(), architecture("map-fast", "MapQuick"))
    for name in ("map-fast", "Map-Fast", "MAP-FAST", "MapQuick", "mapquick", "acme-smp/MAPQUICK", "Acme.SMP/Map-fast"):
        assert make(name) == make("map-fast")
    with pytest.raises(UnknownEncoderError, match=r"^unknown encoder 'Net'; did you mean 'net'"):
        make("map-fast", "Net")


def test_a_class_name_of_two_architectures_is_a_conflict(install: Install) -> None:
    install(encoder(), architecture("map-s", "Map"), architecture("map-l", "Map"))
    assert make("map-s") != make("map-l")
    for name in ("Map", "acme-smp/Map"):
        with pytest.raises(NameConflictError, match=r"(?s)^architecture '.*'acme-smp/map-s'.*'acme-smp/map-l'"):
            make(name)
    with pytest.raises(NameConflictError, match=r"^model class 'Map' is provided by .*acme-smp/map-s, acme-smp/map-l$"):
        read()


def test_an_encoder_may_be_called_as_a_class_is(install: Install) -> None:
    install(encoder("Twin"), architecture("twin", "Twin"))
    made = read(_model_class="Twin", encoder_name="Twin")
    assert (made.architecture.kind, made.encoder.kind) == ("architecture", "encoder")


# --- names of first-party distributions

_STRANGERS = [architecture("mine", "Unet"), architecture("UNET", "Other"), architecture("unet", "Third")]


@pytest.mark.parametrize("stranger", _STRANGERS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("name", ["unet", "Unet", "UNET"])
def test_a_stranger_never_takes_over_a_first_party_name(
    install: Install, stranger: ArchitectureSpec, name: str
) -> None:
    install(encoder(), stranger)
    message = "architecture '.*' is provided by smp-unet, which is not installed; run: pip install smp-unet"
    with pytest.raises(MissingPluginError, match=f"^{message}.*'acme-smp/{stranger.name}'"):
        make(name)
    with pytest.raises(MissingPluginError, match=f"^{message}"):
        read(_model_class="Unet")
    install(architecture("unet", "Unet"), distribution="smp-unet")
    assert make(name).architecture.qualified_name == "smp-unet/unet"
    assert read(_model_class="Unet").architecture.qualified_name == "smp-unet/unet"
    assert make(f"acme-smp/{stranger.name}").architecture.spec is stranger
    assert "unet" in smp_core.list_architectures()


@pytest.mark.parametrize("stranger", _STRANGERS, ids=lambda spec: spec.name)
def test_a_stranger_of_that_class_comes_back_from_its_own_config(install: Install, stranger: ArchitectureSpec) -> None:
    install(encoder(), stranger)
    install(architecture("unet", "Unet"), distribution="smp-unet")
    made = make(f"acme-smp/{stranger.name}")
    assert smp_core.Blueprint.from_config(made.to_config()) == made


# --- files of other versions


@pytest.mark.usefixtures("renamed")
def test_keys_that_nobody_knows() -> None:
    with pytest.warns(UserWarning, match="is ignored$") as caught:
        made = read(widht=3, colour="blue", nothing=None, width=4)
    assert [str(item.message) for item in caught] == [
        "the saved model's config has widht=3, which architecture 'acme-smp/map' does not know (did it mean 'width'?); "
        "it is ignored",
        "the saved model's config has colour='blue', which architecture 'acme-smp/map' does not know; it is ignored",
    ]
    assert [item.filename for item in caught] == [__file__] * 2
    assert made == make(width=4)


def recorded(version: str, part: str = "architecture") -> dict[str, Any]:
    """A config whose part was provided by another version of its plugin."""
    config = make().to_config()
    config["_smp_core"][part]["version"] = version
    return config


@pytest.mark.parametrize("version", ["1.3", "1.10", "2", "1.2.3.post1", "1.2.4rc1"])
@pytest.mark.parametrize("part", ["architecture", "encoder"])
@pytest.mark.usefixtures("renamed")
def test_a_newer_plugin_wrote_it(version: str, part: str) -> None:
    message = (
        f"the model was saved with acme-smp {version}, but 1.2.3 is installed, which may read it wrongly; "
        f"run: pip install -U 'acme-smp>={version}'"
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
        assert smp_core.Blueprint.from_config(recorded(version, part)) == make()
    assert [item.filename for item in caught] == [__file__]


@pytest.mark.parametrize("version", ["1.2.3", "1.2.3.0", "1.2", "0.9", "1.2.3rc1", "", "unknown", "1.x", None, 2, [3]])
@pytest.mark.usefixtures("renamed")
def test_an_older_or_an_unknown_version_wrote_it(version: Any) -> None:
    assert smp_core.Blueprint.from_config(recorded(version)) == make()


def test_what_this_very_plugin_wrote_is_not_newer(install: Install) -> None:
    install(encoder(), architecture(), version="unknown")
    assert smp_core.Blueprint.from_config(make().to_config()) == make()


@pytest.mark.usefixtures("renamed")
def test_the_advice_is_what_pip_takes() -> None:
    requirements = pytest.importorskip("packaging.requirements")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        smp_core.Blueprint.from_config(recorded("1.3+cu126"))
    (line,) = [str(item.message).partition("pip install -U ")[2] for item in caught]
    assert requirements.Requirement(line.strip("'")).name == "acme-smp"


# --- specs

_WRONG: list[tuple[type, dict[str, Any], list[str]]] = [
    (FormerOption, {"now": "two words"}, ["now"]),
    (FormerOption, {"now": 3, "values": 3, "wins": None}, ["now", "values", "wins"]),
    (Migration, {"before": "2.0"}, ["renames"]),
    (Migration, {"before": "", "renames": (("(", ""),), "convert": "nowhere"}, ["before", "renames", "convert"]),
    (Migration, {"before": "2.0", "renames": (("a", "b", "c"),)}, ["renames"]),
    (Migration, {"before": "2.0", "renames": ("ab",)}, ["renames"]),
    (Migration, {"before": "2.0", "renames": (("a", r"\1"),)}, ["renames"]),
    (Migration, {"before": "soon", "renames": (("a", "b"),)}, ["before"]),
    (neck, {"name": "a/b", "target": "nowhere"}, ["name", "target"]),
    (neck, {"reductions": (4, 4)}, ["reductions"]),
    (neck, {"reductions": (), "tokens": False, "pyramid": False}, ["reductions", "tokens"]),
    (neck, {"options": {"tokens": 1}, "scriptable": 1, "summary": "two\nlines"}, ["options", "scriptable", "summary"]),
    (neck, {"former_names": "old", "migrations": ("2.0",)}, ["former_names", "migrations"]),
    (encoder, {"former_names": ("a b",), "migrations": 3}, ["former_names", "migrations"]),
    (architecture, {"former_names": 3, "former_options": {"a": "b"}}, ["former_options", "former_names"]),
    (architecture, {"options": {"classes": 1}, "migrations": [3]}, ["options", "migrations"]),
    (architecture, {"former_options": {"old": FormerOption(now="widht")}}, ["former_options"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "wrong"), _WRONG)
def test_every_wrong_field_is_named(kind: Callable[..., Any], fields: dict[str, Any], wrong: list[str]) -> None:
    with pytest.raises(InvalidSpecError, match=r"^(\w+)( '.+')? is invalid:\n  field ") as caught:
        kind(**fields)
    assert re.findall(r"^  field '(\w+)': expected .+, got ", str(caught.value), flags=re.MULTILINE) == wrong


def test_a_right_neck_is_frozen() -> None:
    spec = neck(reductions=[4, 8], options={"width": 3}, former_names=["old"], migrations=[_MIGRATION])
    assert (spec.reductions, spec.former_names, spec.migrations) == ((4, 8), ("old",), (_MIGRATION,))
    with pytest.raises(TypeError, match="does not support item assignment"):
        spec.options["width"] = 4


_MIGRATION = Migration(before="2.0", renames=[(r"^old\.", "new.")], convert="acme.module:function")
