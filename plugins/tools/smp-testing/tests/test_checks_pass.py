"""Nothing wrong, nothing found: with and without dilation, tokens, weights and numbers."""

import pytest

from smp_testing import collect
from smp_testing.checks import CHECKS
from smp_testing.expectations import NotApplicable
from smp_testing.necks import NeckCase

RIGHT = ("acme-wrong", "Right", "SpecIsBare", "Tokens", "RightModel", "DilatedModel", "TokensModel")
# Specs with files of weights and a licence.
WITH_FILES = ("acme-specs-alone", "ours_for_clouds")


# Of commands: test_command_checks.py.
@pytest.mark.parametrize(
    "name", [item.name for item in CHECKS if item.kind is not NeckCase and item.name != "commands_can_be_called"]
)
def test_what_is_right_passes(name):
    found = [check for check in collect("acme-wrong") if check.check.name == name and check.case.spec_name in RIGHT]
    if not found:
        found = [check for check in collect("acme-specs-alone") if check.check.name == name]
        assert {check.case.spec_name for check in found} <= {*WITH_FILES}
    if not found:
        found = [check for check in collect("acme-further") if check.id == f"TakesOption-{name}"]
    assert found
    for check in found:
        if check.id == "Tokens-first_convolution_may_be_replaced":  # a linear layer sees the input
            with pytest.raises(NotApplicable, match="Tokens does not name one convolution that alone sees the input"):
                check.run()
        else:
            check.run()


def test_without_numbers_the_checks_of_shapes_still_pass():
    found = [check for check in collect("acme-wrong", numbers_up_to=10_000) if check.case.name == "Right"]
    names = {check.check.name for check in found}
    assert {"features_match_spec", "every_depth_builds", "any_input_size", "weights_fit_every_depth"} <= names
    assert not {check.check.name for check in found if check.check.needs_numbers}
    for check in found:
        check.run()


def test_what_is_too_slow_to_trace_is_not_traced():
    names = {check.check.name for check in collect("acme-wrong", traced_up_to=10_000) if check.case.name == "Right"}
    assert "gradients_reach_every_parameter" in names
    assert not {"compiles", "exports", "scripts_as_declared"} & names
