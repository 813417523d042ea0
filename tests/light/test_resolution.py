"""What a name means: first-party names, plugins' names, qualified names, conflicts, open families, and unknown ones."""

from __future__ import annotations

import pytest
from dummy_distributions import Dummy, architecture, encoder, plugin

_RESOLVE = """
from smp_core.registry import resolve_architecture, resolve_encoder
report([attempt(resolve_{kind}, name) for name in {names!r}])
"""


def resolve(sandbox, *names: str, kind: str = "encoder") -> list[dict[str, str]]:
    return sandbox.run(_RESOLVE.format(kind=kind, names=names))


def dummy(name: str, *encoders: str, version: str = "1.2.3", **more) -> Dummy:
    return Dummy(name=name, version=version, source=plugin(encoders=[encoder(item) for item in encoders], **more))


def resolver(body: str) -> str:
    return f"@hookimpl\ndef smp_resolve_encoder(name):\n    {body}\n"


_FAMILY = encoder("NAME").replace("'NAME'", "name")


def test_one_plugin_has_the_name(sandbox) -> None:
    sandbox.install(dummy("acme-smp-one", "small", "large"), dummy("acme-smp-two", "other"))
    script = """
from smp_core.registry import resolve_encoder
found = resolve_encoder("small")
report([found.spec.name, found.distribution, found.version, found.qualified_name])
"""
    assert sandbox.run(script) == ["small", "acme-smp-one", "1.2.3", "acme-smp-one/small"]


@pytest.mark.parametrize("kind", ["encoder", "architecture"])
def test_the_same_name_in_two_plugins(sandbox, kind: str) -> None:
    spec = {"encoder": encoder, "architecture": architecture}[kind]("twin")
    for name, version in (("acme-smp-one", "1.0"), ("Acme.SMP_two", "2.5b1")):
        sandbox.install(Dummy(name=name, version=version, source=plugin(**{f"{kind}s": [spec]})))
    names = ("twin", "acme-smp-one/twin", "Acme.SMP_two/twin", "ACME-smp-TWO/twin")
    conflict, *qualified = resolve(sandbox, *names, kind=kind)
    assert conflict == {
        "error": "NameConflictError",
        "message": f"{kind} 'twin' is provided by 2 plugins:\n"
        "  acme-smp-one 1.0: write 'acme-smp-one/twin'\n"
        "  Acme.SMP_two 2.5b1: write 'acme-smp-two/twin'",
    }
    assert [item["value"] for item in qualified] == ["acme-smp-one/twin", "acme-smp-two/twin", "acme-smp-two/twin"]


def test_a_stranger_cannot_take_a_first_party_name(sandbox) -> None:
    stranger = Dummy(
        name="acme-smp-fast", source=plugin(encoders=[encoder("resnet34")], architectures=[architecture("unet")])
    )
    sandbox.install(stranger)
    absent, qualified = resolve(sandbox, "resnet34", "acme-smp-fast/resnet34")
    assert absent == {
        "error": "MissingPluginError",
        "message": "encoder 'resnet34' is provided by smp-resnet, which is not installed; run: pip install smp-resnet "
        "(other plugins have one of that name: 'acme-smp-fast/resnet34')",
    }
    assert qualified == {"value": "acme-smp-fast/resnet34"}
    (absent,) = resolve(sandbox, "unet", kind="architecture")
    assert absent["message"] == (
        "architecture 'unet' is provided by smp-unet, which is not installed; run: pip install smp-unet "
        "(other plugins have one of that name: 'acme-smp-fast/unet')"
    )
    sandbox.install(dummy("smp-resnet", "resnet34"))
    assert resolve(sandbox, "resnet34", "acme-smp-fast/resnet34") == [
        {"value": "smp-resnet/resnet34"},
        {"value": "acme-smp-fast/resnet34"},
    ]


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("resnext50_32x4d", "smp-resnet"),
        ("vgg16_bn", "smp-vgg"),
        ("mit_b2", "smp-mit"),
        ("efficientnet-b4", "smp-efficientnet"),
        ("timm-efficientnet-l2", "smp-efficientnet"),
        ("timm-skresnet18", "smp-sknet"),
        ("tu-convnext_tiny", "smp-timm"),
        ("tu-anything", "smp-timm"),
    ],
)
def test_a_missing_first_party_plugin_is_named(sandbox, name: str, owner: str) -> None:
    (answer,) = resolve(sandbox, name)
    assert answer == {
        "error": "MissingPluginError",
        "message": f"encoder {name!r} is provided by {owner}, which is not installed; run: pip install {owner}",
    }


def test_an_owner_that_is_too_old_for_the_name(sandbox) -> None:
    sandbox.install(dummy("smp-resnet", "resnet18", version="0.1"), dummy("acme-smp-x", "resnet34"))
    (answer,) = resolve(sandbox, "resnet34")
    assert answer == {
        "error": "UnknownEncoderError",
        "message": "encoder 'resnet34': smp-resnet 0.1 does not provide it; did you mean 'resnet18'?\n"
        "Perhaps a newer version does: pip install -U smp-resnet",
    }


def test_an_owner_that_is_broken_or_disabled(sandbox) -> None:
    sandbox.install(Dummy(name="smp-resnet", source="import acme_runtime"), dummy("acme-smp-x", "resnet34"))
    (answer,) = resolve(sandbox, "resnet34")
    assert answer["error"] == "MissingPluginError"
    assert answer["message"] == (
        "encoder 'resnet34': smp-resnet is installed, but unusable: plugin 'smp-resnet' 1.2.3 (smp_resnet.plugin): "
        "importing it failed: ModuleNotFoundError: No module named 'acme_runtime'"
    )
    sandbox.install(dummy("smp-resnet", "resnet34"))
    answer = sandbox.run(_RESOLVE.format(kind="encoder", names=("resnet34",)), SMP_DISABLE_PLUGINS="smp-resnet")[0]
    assert answer["message"] == (
        "encoder 'resnet34': smp-resnet is installed, but unusable: disabled by SMP_DISABLE_PLUGINS"
    )


def test_qualified_names_that_mean_nothing(sandbox) -> None:
    sandbox.install(dummy("acme-smp-one", "small", "smaller", "large"))
    answers = resolve(sandbox, "acme-smp-two/small", "acme-smp-one/smal", "acme-smp-one/zzz", "acme-smp-one/a/b")
    assert [item["error"] for item in answers] == ["MissingPluginError", *["UnknownEncoderError"] * 3]
    assert [item["message"] for item in answers] == [
        "encoder 'acme-smp-two/small': no plugin of the distribution 'acme-smp-two' is installed; "
        "run: pip install acme-smp-two",
        "encoder 'acme-smp-one/smal': acme-smp-one 1.2.3 does not provide it; did you mean 'small' or 'smaller'?\n"
        "Perhaps a newer version does: pip install -U acme-smp-one",
        "encoder 'acme-smp-one/zzz': acme-smp-one 1.2.3 does not provide it; it provides small, smaller, large\n"
        "Perhaps a newer version does: pip install -U acme-smp-one",
        "encoder 'acme-smp-one/a/b': acme-smp-one 1.2.3 does not provide it; it provides small, smaller, large\n"
        "Perhaps a newer version does: pip install -U acme-smp-one",
    ]


@pytest.mark.parametrize("name", ["/small", "acme-smp-one/", "/", "../weights/file", "./small", "https://x.y/z"])
def test_slashes_that_are_no_qualified_name(sandbox, name: str) -> None:
    sandbox.install(dummy("acme-smp-one", "small"))
    (answer,) = resolve(sandbox, name)
    assert answer["error"] == "UnknownEncoderError"
    assert answer["message"] == (
        f"unknown encoder {name!r}; a qualified name is '<distribution>/<name>', as in 'smp-resnet/resnet18'"
    )


@pytest.mark.parametrize("name", [3, None, b"small", ["small"]])
def test_a_name_is_a_string(sandbox, name: object) -> None:
    script = f"""
import smp_core
from smp_core.registry import resolve_architecture, resolve_encoder
report([attempt(function, {name!r}) for function in (resolve_encoder, resolve_architecture, smp_core.describe)])
"""
    answers = sandbox.run(script)
    assert [item["error"] for item in answers] == ["OptionError"] * 3
    given = f"as a str, got {type(name).__name__}: {name!r}"
    assert [item["message"] for item in answers] == [
        f"expected the name of an encoder {given}",
        f"expected the name of an architecture {given}",
        f"expected the name of an encoder, architecture or neck {given}",
    ]


def test_unknown_names(sandbox) -> None:
    sandbox.install(dummy("acme-smp-one", "hiera_tiny", "hiera_small"))
    close, none, empty = resolve(sandbox, "Hiera-Tinny", "zzzzzzzzzzzz", "")
    assert close["error"] == none["error"] == empty["error"] == "UnknownEncoderError"
    assert close["message"] == "unknown encoder 'Hiera-Tinny'; did you mean 'hiera_tiny'?"
    assert none["message"] == (
        "unknown encoder 'zzzzzzzzzzzz'; installed are hiera_tiny, hiera_small, resnet18, resnet34, resnet50, "
        "resnet101, resnet152, resnext50_32x4d, ..."
    )
    assert empty["message"].startswith("unknown encoder ''; ")
    known, wrong = resolve(sandbox, "Unet++", "resnet34", kind="architecture")
    assert known["error"] == wrong["error"] == "UnknownArchitectureError"
    assert known["message"] == "unknown architecture 'Unet++'; did you mean 'unet' or 'upernet'?"
    assert wrong["message"].startswith("unknown architecture 'resnet34'; ")


def test_a_resolver_answers_for_names_that_nobody_lists(sandbox) -> None:
    family = resolver(f"return {_FAMILY} if name.startswith('fam-') else None")
    sandbox.install(dummy("acme-smp-fam", "listed", more=family), dummy("acme-smp-one", "fam-listed"))
    answers = resolve(sandbox, "fam-x", "acme-smp-fam/fam-x", "fam-listed", "acme-smp-fam/fam-listed", "other")
    assert [item.get("value") for item in answers[:4]] == [
        *("acme-smp-fam/fam-x", "acme-smp-fam/fam-x", "acme-smp-one/fam-listed", "acme-smp-fam/fam-listed")
    ]
    assert answers[4]["message"].startswith("unknown encoder 'other'; ")
    script = "import smp_core\nreport([smp_core.list_encoders(), smp_core.plugins()[0].resolves_encoders])"
    assert sandbox.run(script) == [["fam-listed", "listed"], True]


def test_a_resolver_needs_not_take_the_name(sandbox) -> None:
    """pluggy lets an implementation take fewer arguments than the hook has."""
    source = plugin(more=f"@hookimpl\ndef smp_resolve_encoder():\n    return {encoder('fixed')}\n")
    sandbox.install(Dummy(name="acme-smp-fixed", source=source))
    assert resolve(sandbox, "fixed") == [{"value": "acme-smp-fixed/fixed"}]


def test_two_resolvers_answer(sandbox) -> None:
    family = resolver(f"return {_FAMILY}")
    sandbox.install(dummy("acme-smp-fam", more=family), dummy("acme-smp-kin", version="7", more=family))
    conflict, qualified = resolve(sandbox, "fam-x", "acme-smp-kin/fam-x")
    assert conflict["error"] == "NameConflictError"
    assert conflict["message"] == (
        "encoder 'fam-x' is provided by 2 plugins:\n"
        "  acme-smp-fam 1.2.3: write 'acme-smp-fam/fam-x'\n"
        "  acme-smp-kin 7: write 'acme-smp-kin/fam-x'"
    )
    assert qualified == {"value": "acme-smp-kin/fam-x"}


_BAD_RESOLVERS = {
    "return 1 / 0": "raised ZeroDivisionError: division by zero",
    "raise SystemExit('no GPU')": "raised SystemExit: no GPU",
    "return 'resnet34'": "returned 'resnet34'; expected None or an EncoderSpec named 'fam-x'",
    f"return [{_FAMILY}]": "returned [EncoderSpec(name='fam-x', ",
    f"return {encoder('another')}": "returned EncoderSpec(name='another', ",
    "return EncoderSpec(name=name, target='x', out_channels=(3,), reductions=(1,))": (
        "raised InvalidSpecError: EncoderSpec 'fam-x' is invalid:\n  field 'target': expected"
    ),
}


@pytest.mark.parametrize("body", _BAD_RESOLVERS)
def test_a_bad_resolver_fails_alone(sandbox, body: str) -> None:
    sandbox.install(dummy("acme-smp-bad", "small", more=resolver(body)))
    unknown, qualified, listed = resolve(sandbox, "fam-x", "acme-smp-bad/fam-x", "small")
    line = f"plugin 'acme-smp-bad' 1.2.3: hook 'smp_resolve_encoder' {_BAD_RESOLVERS[body]}"
    assert unknown["error"] == "UnknownEncoderError"
    assert f"\nPlugins that failed, one of which may provide it:\n  {line}" in unknown["message"]
    assert qualified["error"] == "MissingPluginError"
    assert f"acme-smp-bad is installed, but unusable: {line}" in qualified["message"]
    assert listed == {"value": "acme-smp-bad/small"}
    sandbox.install(dummy("acme-smp-fam", more=resolver(f"return {_FAMILY}")))
    assert resolve(sandbox, "fam-x") == [{"value": "acme-smp-fam/fam-x"}]


def test_an_open_family_has_one_owner(sandbox) -> None:
    """``tu-...`` belongs to smp-timm, whether a stranger lists such a name or resolves it."""
    family = resolver(f"return {_FAMILY}")
    sandbox.install(dummy("acme-smp-tu", "tu-resnet18", more=family))
    missing, qualified = resolve(sandbox, "tu-resnet18", "acme-smp-tu/tu-other")
    assert missing["error"] == "MissingPluginError"
    assert missing["message"].endswith(
        "run: pip install smp-timm (other plugins have one of that name: 'acme-smp-tu/tu-resnet18')"
    )
    assert qualified == {"value": "acme-smp-tu/tu-other"}
    sandbox.install(dummy("smp-timm", more=resolver(f"return {_FAMILY} if name != 'tu-none' else None")))
    found, unknown = resolve(sandbox, "tu-resnet18", "tu-none")
    assert found == {"value": "smp-timm/tu-resnet18"}
    assert unknown["error"] == "UnknownEncoderError"
    assert unknown["message"].startswith("encoder 'tu-none': smp-timm 1.2.3 does not provide it; it provides none")
