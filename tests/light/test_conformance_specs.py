"""What plugins tell the checks of smp-testing: the spec, and the hook that returns it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from dummy_distributions import Dummy

from smp_core.errors import InvalidSpecError
from smp_core.plugin import ConformanceSpec


def test_a_spec_is_frozen_at_every_level() -> None:
    reasons = {"tiny": {"exports": "why"}}
    spec = ConformanceSpec(expected_failures=reasons, options={"net": {"width": 8}, "other": "acme.plugin:options"})
    reasons["tiny"]["exports"] = "changed"
    assert spec.expected_failures["tiny"]["exports"] == "why"
    with pytest.raises(TypeError, match="does not support item assignment"):
        spec.expected_failures["tiny"]["compiles"] = "why"  # type: ignore[index]
    again = pickle.loads(pickle.dumps(spec))
    assert (again.expected_failures, again.options) == (spec.expected_failures, spec.options)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"expected_failures": {"tiny": {"exports": " "}}}, "'expected_failures': expected a mapping of names"),
        ({"expected_failures": {"tiny": "exports"}}, "'expected_failures': expected a mapping of names"),
        ({"encoders": "tiny"}, "'encoders': expected a tuple of names, got 'tiny'"),
        (
            {"options": {"net": "acme.plugin"}},
            "'options': expected a mapping of names of architectures to their options",
        ),
    ],
)
def test_a_wrong_field_is_an_error(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpecError, match=r"^ConformanceSpec is invalid:\n  field ") as caught:
        ConformanceSpec(**fields)
    assert message in str(caught.value)


def _plugin(answer: str) -> Dummy:
    body = f"@hookimpl\ndef smp_conformance():\n    {answer}\n"
    return Dummy(name="acme-smp-tiny", source=f"from smp_core.plugin import ConformanceSpec, hookimpl\n\n\n{body}")


_ASK = """
from smp_core.registry import conformance_specs
report(attempt(lambda: [spec.encoders for spec in conformance_specs("ACME_smp_tiny")]))
"""


def test_the_registry_asks_a_distribution_by_any_spelling(sandbox) -> None:
    assert sandbox.run(_ASK) == {"value": []}
    sandbox.install(_plugin("return ConformanceSpec(encoders=('tiny-a',))"))
    assert sandbox.run(_ASK) == {"value": [["tiny-a"]]}


def test_it_is_asked_for_that_alone(sandbox) -> None:
    sandbox.install(_plugin("raise RuntimeError('asked at discovery')"))
    assert sandbox.run("report(records())")["acme-smp-tiny"]["status"] == "ok"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("raise KeyError('tiny')", "hook 'smp_conformance' raised KeyError: 'tiny'"),
        ("return {'tiny': 'no'}", "hook 'smp_conformance' returned {'tiny': 'no'}; expected a ConformanceSpec"),
    ],
)
def test_a_hook_that_does_not_answer_is_an_error(sandbox, answer: str, message: str) -> None:
    sandbox.install(_plugin(answer))
    expected = {"error": "PluginError", "message": f"plugin 'acme-smp-tiny' 1.2.3: {message}"}
    assert sandbox.run(_ASK) == expected
