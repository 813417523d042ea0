"""Plugins that are broken in every way: each is set aside alone, and its record says what is wrong, whose, and why."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from dummy_distributions import Dummy, architecture, encoder, plugin

from smp_core._version import __version__

_GOOD = Dummy(name="acme-smp-good", source=plugin(encoders=[encoder("good")], architectures=[architecture("neat")]))
_HEADER = plugin()


def _hook(body: str, name: str = "smp_encoders", arguments: str = "") -> str:
    return f"{_HEADER}@hookimpl\ndef {name}({arguments}):\n    {body}\n"


class Kind(NamedTuple):
    """One way to be broken: the plugin module, and what its record must say after the plugin's name and version."""

    source: str | None
    error: str
    entry_points: str | None = None


_HOOKS = (
    "smp_encoders, smp_architectures, smp_necks, smp_commands, smp_forms, smp_resolve_encoder, smp_encoder_names, "
    "smp_resolve_architecture, smp_architecture_names, smp_model_created, smp_conformance"
)
_MODULE = "(acme_smp_bad.plugin)"
_RETURNED = f"{_MODULE}: hook 'smp_encoders' returned an object of type"
_EXPECTED = "expected a list of EncoderSpec"

KINDS = {
    "raises on import": Kind(
        'raise RuntimeError("no licence key")', f"{_MODULE}: importing it failed: RuntimeError: no licence key"
    ),
    "leaves the program on import": Kind(
        'import sys\nsys.exit("needs a GPU")', f"{_MODULE}: importing it failed: SystemExit: needs a GPU"
    ),
    "raises what is no Exception": Kind(
        'raise GeneratorExit("later")', f"{_MODULE}: importing it failed: GeneratorExit: later"
    ),
    "has a broken header in its metadata": Kind(
        _hook("return []"),
        "(unknown): its entry_points.txt is malformed: '[smp_core' has no end; reinstall or uninstall it",
        "[smp_core\nbad = acme_smp_bad.plugin\n",
    ),
    "is no Python": Kind("def smp_encoders(:", f"{_MODULE}: importing it failed: SyntaxError: "),
    "misses a dependency": Kind(
        "import acme_runtime", f"{_MODULE}: importing it failed: ModuleNotFoundError: No module named 'acme_runtime'"
    ),
    "misses a part of a dependency": Kind(
        "from smp_core.plugin import HeadSpec",
        f"{_MODULE}: importing it failed: ImportError: cannot import name 'HeadSpec' from 'smp_core.plugin'",
    ),
    "warns on import, where warnings are errors": Kind(
        'import warnings\nwarnings.warn("old")', f"{_MODULE}: importing it failed: UserWarning: old"
    ),
    "lists models while it is discovered": Kind(
        "import smp_core\nsmp_core.list_encoders()",
        f"{_MODULE}: importing it failed: AttributeError: partially initialized module 'smp_core.registry'",
    ),
    "module is not there": Kind(
        None,
        f"{_MODULE}: its metadata names the module 'acme_smp_bad.plugin', which is not there; "
        "the installation is incomplete: reinstall it or uninstall it",
    ),
    "entry point names a missing submodule": Kind(
        _GOOD.source,
        "(acme_smp_bad.plugins): its metadata names the module 'acme_smp_bad.plugins', which is not there; "
        "the installation is incomplete: reinstall it or uninstall it",
        "[smp_core]\nbad = acme_smp_bad.plugins\n",
    ),
    "entry point names a function": Kind(
        _hook("return []"),
        "(acme_smp_bad.plugin:smp_encoders): its entry point must name a module, not a function: drop ':attribute'",
        "[smp_core]\nbad = acme_smp_bad.plugin:smp_encoders\n",
    ),
    "entry point names a missing attribute": Kind(
        _hook("return []"),
        "(acme_smp_bad:Plugin): importing it failed: AttributeError: module 'acme_smp_bad' has no attribute 'Plugin'",
        "[smp_core]\nbad = acme_smp_bad:Plugin\n",
    ),
    "hook raises": Kind(
        _hook("return 1 / 0"), f"{_MODULE}: hook 'smp_encoders' raised ZeroDivisionError: division by zero"
    ),
    "hook leaves the program": Kind(
        _hook("raise SystemExit('bye')"), f"{_MODULE}: hook 'smp_encoders' raised SystemExit: bye"
    ),
    "other hook raises": Kind(
        _hook("raise KeyError('x')", "smp_architectures"), f"{_MODULE}: hook 'smp_architectures' raised KeyError: 'x'"
    ),
    "generator raises midway": Kind(
        _hook(f"yield {encoder('half')}\n    raise OSError('disk on fire')"),
        f"{_MODULE}: hook 'smp_encoders' raised OSError: disk on fire",
    ),
    "hook returns a string": Kind(_hook("return 'resnet34'"), f"{_RETURNED} str; {_EXPECTED}"),
    "hook returns a dict": Kind(_hook("return {}"), f"{_RETURNED} dict; {_EXPECTED}"),
    "hook returns one spec, no list": Kind(
        _hook(f"return {encoder('alone')}"),
        f"{_RETURNED} EncoderSpec; {_EXPECTED}",
    ),
    "hook returns a number": Kind(_hook("return 3"), f"{_RETURNED} int; {_EXPECTED}"),
    "hook forgets to return": Kind(_hook("[]"), f"{_MODULE}: hook 'smp_encoders' returned None; {_EXPECTED}"),
    "hook returns names": Kind(
        _hook("return ['resnet34']"),
        f"{_MODULE}: hook 'smp_encoders' returned 'resnet34' among its specs; expected EncoderSpec only",
    ),
    "hook returns the other kind of spec": Kind(
        _hook(f"return [{encoder('e')}]", "smp_architectures"),
        f"{_MODULE}: hook 'smp_architectures' returned EncoderSpec(name='e', ",
    ),
    "one name twice": Kind(
        _hook(f"return [{encoder('twin')}, {encoder('twin')}]"),
        f"{_MODULE}: hook 'smp_encoders' returned two specs of the same name: 'twin'",
    ),
    "bad field": Kind(
        plugin(encoders=[encoder("odd", reductions=(1, 4, 2))]),
        f"{_MODULE}: hook 'smp_encoders' raised InvalidSpecError: EncoderSpec 'odd' is invalid:\n"
        "  field 'reductions': expected strictly increasing ints, got (1, 4, 2)",
    ),
    "bad field at import": Kind(
        f"{_HEADER}SPEC = {architecture('odd', target='Unet')}\n" + _hook("return [SPEC]", "smp_architectures"),
        f"{_MODULE}: hook 'smp_architectures' raised InvalidSpecError: ArchitectureSpec 'odd' is invalid:\n"
        "  field 'target': expected a string of the form \"package.module:attribute\", got 'Unet'",
    ),
    "of a newer plugin API": Kind(
        "api_version = 2\n" + _hook("return []", "smp_heads"),
        f"{_MODULE}: it is written for version 2 of the plugin API, and smp-core {__version__} has 1: "
        "pip install -U smp-core",
    ),
    "of an older plugin API": Kind(
        "api_version = 0\n" + _hook("return []"),
        f"{_MODULE}: it is written for version 0 of the plugin API, and smp-core {__version__} has 1: "
        "pip install -U Acme_SMP.bad",
    ),
    "of no plugin API": Kind(
        "api_version = '1'\n" + _hook("return []"),
        f"{_MODULE}: module 'acme_smp_bad.plugin': api_version must be an int, got '1'",
    ),
    "missing field": Kind(
        _hook("return [EncoderSpec(name='bare', target='a:B')]"),
        f"{_MODULE}: hook 'smp_encoders' raised InvalidSpecError: EncoderSpec 'bare' is invalid:\n"
        "  field 'out_channels': expected, and not given\n  field 'reductions': expected, and not given",
    ),
    "unknown field": Kind(
        plugin(encoders=[encoder("odd")[:-1] + ", reduction=(1, 2), zzz=1)"]),
        f"{_MODULE}: hook 'smp_encoders' raised InvalidSpecError: EncoderSpec 'odd' is invalid:\n"
        "  field 'reduction': there is none; did you mean 'reductions'?\n  field 'zzz': there is none",
    ),
    "fields without names": Kind(
        _hook("return [EncoderSpec('bare')]"),
        f"{_MODULE}: hook 'smp_encoders' raised InvalidSpecError: EncoderSpec is invalid:\n"
        "  fields are given by name, got 1 without",
    ),
    "misspelt hook": Kind(
        _hook("return []", "smp_encoder"),
        f"{_MODULE}: unknown hook 'smp_encoder' (did you mean 'smp_encoders'?); the hooks are {_HOOKS}",
    ),
    "hook of another world": Kind(
        _hook("return []", "pytest_configure"), f"{_MODULE}: unknown hook 'pytest_configure'; the hooks are {_HOOKS}"
    ),
    "wrong argument": Kind(
        _hook("return None", "smp_resolve_encoder", "nam"),
        f"{_MODULE}: Plugin 'acme_smp_bad.plugin' for hook 'smp_resolve_encoder' hookimpl definition: "
        "smp_resolve_encoder(nam) Argument(s) {'nam'} are declared in the hookimpl but can not be found in the ",
    ),
    "no hook": Kind(
        "def smp_encoders():\n    return []\n",
        f"{_MODULE}: module 'acme_smp_bad.plugin' implements no hook; decorate one of {_HOOKS} with "
        "@smp_core.plugin.hookimpl",
    ),
    "empty module": Kind("", f"{_MODULE}: module 'acme_smp_bad.plugin' implements no hook; decorate one of {_HOOKS}"),
}

_SCRIPT = """
import smp_core
from smp_core.registry import resolve_architecture, resolve_encoder
report({"records": records(), "encoders": smp_core.list_encoders(), "architectures": smp_core.list_architectures(),
        "good": attempt(resolve_encoder, "good"), "neat": attempt(resolve_architecture, "neat"),
        "unknown": attempt(resolve_encoder, "hidden"), "qualified": attempt(resolve_encoder, "Acme_SMP.bad/half")})
"""


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_broken_plugin_fails_alone(sandbox, kind: Kind) -> None:
    bad = Dummy(name="Acme_SMP.bad", version="0.9", source=kind.source, entry_points=kind.entry_points)
    sandbox.install(bad, _GOOD)
    seen = sandbox.run(_SCRIPT)
    record = seen["records"]["Acme_SMP.bad"]
    title = "plugin 'Acme_SMP.bad' 0.9 "
    assert record["error"].startswith(title + kind.error)
    assert (record["status"], record["version"]) == ("broken", "0.9")
    assert (record["encoders"], record["architectures"]) == ([], [])
    assert record["traceback"].startswith("Traceback (most recent call last)")
    good = {"status": "ok", "error": None, "version": "1.2.3", "traceback": "", "heavy": []}
    assert seen["records"]["acme-smp-good"] == {**good, "encoders": ["good"], "architectures": ["neat"]}
    assert (seen["encoders"], seen["architectures"]) == (["good"], ["neat"])
    assert seen["good"] == {"value": "acme-smp-good/good"}
    assert seen["neat"] == {"value": "acme-smp-good/neat"}
    # The reason is where it is needed: in the error of who looks for a name that this plugin might have had.
    assert seen["unknown"]["error"] == "UnknownEncoderError"
    assert seen["unknown"]["message"].startswith("unknown encoder 'hidden'; ")
    assert f"\nPlugins that failed, one of which may provide it:\n  {title}{kind.error}" in seen["unknown"]["message"]
    assert seen["qualified"]["error"] == "MissingPluginError"
    unusable = f"encoder 'Acme_SMP.bad/half': Acme_SMP.bad is installed, but unusable: {title}{kind.error}"
    assert seen["qualified"]["message"].startswith(unusable)


@pytest.mark.parametrize(
    "name", ["raises on import", "leaves the program on import", "generator raises midway", "no hook"]
)
def test_strict_mode_raises(sandbox, name: str) -> None:
    sandbox.install(Dummy(name="acme-smp-bad", version="0.9", source=KINDS[name].source), _GOOD)
    seen = sandbox.run("import smp_core\nreport(attempt(lambda: smp_core.list_encoders()))", SMP_PLUGINS_STRICT="1")
    assert seen["error"] == "PluginError"
    assert seen["message"].startswith(f"plugin 'acme-smp-bad' 0.9 {KINDS[name].error}")
    assert seen["message"].endswith("\n(raised because SMP_PLUGINS_STRICT=1)")


_PARTIAL = plugin(
    encoders=[encoder("whole"), encoder("odd", reductions=(1, 4, 2)), encoder("even")],
    architectures=[architecture("bent", target="Unet")],
)
_ODD = (
    "plugin 'acme-smp-part' 0.9 (acme_smp_part.plugin): hook 'smp_encoders' raised InvalidSpecError: EncoderSpec 'odd' "
    "is invalid:\n  field 'reductions': expected strictly increasing ints, got (1, 4, 2); its other specs are listed"
)


def test_an_invalid_spec_is_set_aside_alone(sandbox) -> None:
    sandbox.install(Dummy(name="acme-smp-part", version="0.9", source=_PARTIAL), _GOOD)
    more = '\nreport({**json.loads(out), "whole": attempt(resolve_encoder, "whole")})'
    script = _SCRIPT.replace("report(", "out = json.dumps(", 1).replace("Acme_SMP.bad/half", "acme-smp-part/odd") + more
    seen = sandbox.run(f"import json\n{script}")
    record = seen["records"]["acme-smp-part"]
    assert record["status"] == "partial"
    assert (record["encoders"], record["architectures"]) == (["whole", "even"], [])
    first, second = record["error"].split("\nplugin ")
    assert first == _ODD
    assert second.startswith(
        "'acme-smp-part' 0.9 (acme_smp_part.plugin): hook 'smp_architectures' raised InvalidSpecErr"
    )
    assert record["traceback"].count("InvalidSpecError: EncoderSpec 'odd' is invalid") == 2
    assert seen["encoders"] == ["even", "good", "whole"]
    assert seen["whole"] == {"value": "acme-smp-part/whole"}
    assert f"\nPlugins that failed, one of which may provide it:\n  {_ODD}" in seen["unknown"]["message"]
    assert seen["qualified"]["error"] == "MissingPluginError"
    assert f"acme-smp-part is installed, but unusable: {_ODD}" in seen["qualified"]["message"]


@pytest.mark.parametrize(
    ("further", "error"),
    [
        (encoder("odd")[:-1] + ", reduction=(1, 2))", "field 'reduction': there is none; did you mean 'reductions'?"),
        ("3", "hook 'smp_encoders' returned 3 among its specs; expected EncoderSpec only"),
        (f"{encoder('odd')}, {encoder('odd')}", "hook 'smp_encoders' returned two specs of the same name: 'odd'"),
    ],
)
def test_neighbours_of_what_is_no_spec_are_listed(sandbox, further: str, error: str) -> None:
    source = _hook(f"return [{encoder('whole')}, {further}, {encoder('even')}]")
    sandbox.install(Dummy(name="acme-smp-part", source=source))
    record = sandbox.run("import smp_core\nreport(records())")["acme-smp-part"]
    assert (record["status"], record["encoders"]) == ("partial", ["whole", "even"])
    assert record["error"].endswith(f"{error}; its other specs are listed")


def test_hooks_beside_one_that_raises_count(sandbox) -> None:
    source = _hook(f"return [{encoder('whole')}]") + "@hookimpl\ndef smp_necks():\n    return 1 / 0\n"
    sandbox.install(Dummy(name="acme-smp-part", source=source))
    record = sandbox.run("import smp_core\nreport(records())")["acme-smp-part"]
    assert (record["status"], record["encoders"]) == ("partial", ["whole"])
    assert "hook 'smp_necks' raised ZeroDivisionError: division by zero; its other specs" in record["error"]


def test_what_a_plugin_prints_stays_out_of_what_programs_print(sandbox) -> None:
    source = "print('I am a plugin')\n" + _hook(f"print('and more'); return [{encoder('whole')}]")
    sandbox.install(Dummy(name="acme-smp-loud", source=source))
    record = sandbox.run("import smp_core\nreport(records())")["acme-smp-loud"]
    assert (record["status"], record["encoders"]) == ("noisy", ["whole"])
    expected = "prints at discovery ('I am a plugin\\nand more'), which mixes with what programs print"
    assert record["error"].endswith(expected)


def test_an_invalid_spec_is_an_error_in_strict_mode(sandbox) -> None:
    sandbox.install(Dummy(name="acme-smp-part", version="0.9", source=_PARTIAL))
    seen = sandbox.run("import smp_core\nreport(attempt(lambda: smp_core.list_encoders()))", SMP_PLUGINS_STRICT="1")
    assert seen["error"] == "PluginError"
    assert "EncoderSpec 'odd' is invalid" in seen["message"]
    assert seen["message"].endswith("\n(raised because SMP_PLUGINS_STRICT=1)")


def test_invalid_weights_set_aside_the_spec_that_has_them(sandbox) -> None:
    bad = encoder("odd")[:-1] + ", weights={'w': WeightsSpec(repo_id=3)}, default_weights='w')"
    sandbox.install(Dummy(name="acme-smp-part", source=plugin(encoders=[encoder("whole"), bad])))
    record = sandbox.run("import smp_core\nreport(records())")["acme-smp-part"]
    assert (record["status"], record["encoders"]) == ("partial", ["whole"])
    wrong = "field 'weights', 'w', field 'repo_id': expected a repository of the Hub, 'owner/name', got 3"
    assert f"EncoderSpec 'odd' is invalid:\n  {wrong}" in record["error"]


def test_strict_mode_is_silent_where_nothing_is_broken(sandbox) -> None:
    sandbox.install(_GOOD)
    script = "import smp_core\nreport(smp_core.list_encoders())"
    assert sandbox.run(script, SMP_PLUGINS_STRICT="1") == ["good"]


def test_a_plugin_says_which_api_it_needs(sandbox) -> None:
    sandbox.install(Dummy(name="acme-smp-new", source=plugin(encoders=[encoder("new")]) + "\napi_version = 1\n"))
    assert sandbox.run("import smp_core\nreport(records())")["acme-smp-new"]["status"] == "ok"


def test_interrupting_is_not_a_failure(sandbox) -> None:
    sandbox.install(Dummy(name="acme-smp-bad", source="raise KeyboardInterrupt"))
    done = sandbox.start("import smp_core\nsmp_core.list_encoders()")
    assert done.returncode != 0
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


def test_many_broken_plugins_at_once(sandbox) -> None:
    for number, kind in enumerate(KINDS.values()):
        if kind.entry_points is None and kind.source is not None:
            Dummy(name=f"acme-smp-bad{number}", source=kind.source).install(sandbox.target)
    sandbox.install(_GOOD)
    seen = sandbox.run(_SCRIPT)
    assert seen["good"] == {"value": "acme-smp-good/good"}
    statuses = {name: record["status"] for name, record in seen["records"].items()}
    assert statuses.pop("acme-smp-good") == "ok"
    assert set(statuses.values()) == {"broken"}
    assert list(seen["records"]) == sorted(seen["records"])
    assert all(name in seen["unknown"]["message"] for name in statuses)


def test_a_heavy_import_works_but_is_reported(sandbox) -> None:
    (sandbox.target / "torch").mkdir()
    (sandbox.target / "torch" / "__init__.py").write_text("")
    (sandbox.target / "numpy.py").write_text("")
    source = "import numpy, torch\n" + plugin(encoders=[encoder("weighty")])
    sandbox.install(Dummy(name="acme-smp-heavy", source=source), Dummy(name="acme-smp-zzz", source=source))
    seen = sandbox.run(_SCRIPT.replace('"hidden"', '"acme-smp-heavy/weighty"'))
    record = seen["records"]["acme-smp-heavy"]
    assert (record["status"], record["encoders"], record["heavy"]) == ("slow", ["weighty"], ["torch", "numpy"])
    assert record["error"] == (
        "plugin 'acme-smp-heavy' 1.2.3 (acme_smp_heavy.plugin): imports torch, numpy at discovery, which slows every "
        "program down; move the import into the module that a spec's target names"
    )
    assert seen["unknown"] == {"value": "acme-smp-heavy/weighty"}
    # Only who imports it first can be blamed.
    assert seen["records"]["acme-smp-zzz"]["status"] == "ok"


def test_a_heavy_import_that_fails_is_broken(sandbox) -> None:
    sandbox.install(
        Dummy(name="acme-smp-heavy", source="import torch\n" + plugin(encoders=[encoder("weighty")])), _GOOD
    )
    record = sandbox.run(_SCRIPT)["records"]["acme-smp-heavy"]
    assert record["status"] == "broken"
    assert "importing it failed: ModuleNotFoundError: No module named 'torch'" in record["error"]


def test_several_implementations_and_generators_are_fine(sandbox) -> None:
    more = (
        f"@hookimpl\ndef smp_encoders():\n    yield {encoder('one')}\n\n\n"
        f"@hookimpl(specname='smp_encoders')\ndef more():\n    return ({encoder('two')},)\n\n\n"
        "@hookimpl\ndef smp_architectures():\n    return []\n"
    )
    sandbox.install(Dummy(name="acme-smp-many", source=plugin(more=more)))
    seen = sandbox.run(_SCRIPT)
    assert seen["records"]["acme-smp-many"]["status"] == "ok"
    assert seen["encoders"] == ["one", "two"]


def test_a_plugin_module_may_be_imported_first(sandbox) -> None:
    sandbox.install(_GOOD)
    script = "import acme_smp_good.plugin\nimport sys\nlate = 'smp_core.registry' in sys.modules\n"
    script += "import smp_core\nreport([late, smp_core.list_encoders()])"
    assert sandbox.run(script) == [False, ["good"]]
