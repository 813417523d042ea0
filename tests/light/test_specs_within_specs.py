"""What a spec holds: weight sets, kinds of options, migrations; an error names the field, and where in it."""

from __future__ import annotations

import pickle
from typing import Any

from smp_core._specs.checks import setting_aside
from smp_core.plugin import EncoderSpec, Migration, Number, WeightsSpec


def _encoder(**fields: Any) -> EncoderSpec:
    values = {"name": "e", "target": "a:b", "out_channels": (3, 8), "reductions": (1, 2), **fields}
    return EncoderSpec(**values)


def test_the_only_weights_are_the_default() -> None:
    spec = _encoder(weights={"a": WeightsSpec(file="f")})
    assert spec.default_weights == "a"
    assert spec == _encoder(weights={"a": WeightsSpec(file="f")}, default_weights="a")
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_weights_of_other_channels_name_them() -> None:
    bands = WeightsSpec(file="f", bands=("a", "b"), mean=(0, 0), std=(1, 1))
    assert _encoder(weights={"w": bands}).trained_bands("w") == ("a", "b")


def test_specs_within_a_spec_say_where_they_are_wrong() -> None:
    with setting_aside():
        invalid: Any = _encoder(
            weights={"good": WeightsSpec(file="f"), "w": WeightsSpec(repo_id="x", licence="MIT", mean=())},
            user_options=("rate",),
            option_kinds={"rate": Number(least=2, most=1)},
            migrations=(Migration(before="2", renames=((1, 2),)),),
        )
    lines = str(invalid.error).splitlines()
    assert lines[0] == "EncoderSpec 'e' is invalid:"
    assert "  field 'weights', 'w', field 'licence': there is none; did you mean 'license'?" in lines
    assert "  field 'option_kinds', 'rate', field 'least': expected at most the largest value, 1, got 2" in lines
    assert any(
        line.startswith("  field 'migrations', 0, field 'renames': expected pairs of a regular") for line in lines
    )
    assert "good" not in str(invalid.error)
