"""Checks of necks: nothing is found where nothing is wrong, and what is wrong is found, with a message that says so."""

import re

import pytest

from smp_testing import ConformanceError, collect
from smp_testing.checks import CHECKS
from smp_testing.necks import NeckCase

# What is wrong, the check that finds it, and what the message says (a regular expression).
WRONG = [
    (
        "TakesNoOutputStride",
        "every_output_stride_builds",
        "cannot be called with out_channels, reductions, tokens, output_stride: got an unexpected keyword",
    ),
    ("SaysNoChannels", "levels_match_spec", "out_channels of the built neck must be a tuple of ints, got None"),
    ("ReturnsTuple", "levels_match_spec", "forward must return a list of tensors, got a tuple"),
    (
        "SpecLiesAboutReductions",
        "levels_match_spec",
        "reductions of the built neck .*: expected \\(4, 8, 16\\), got \\(4, 8, 16, 32\\)",
    ),
    ("LiesAboutChannels", "levels_match_spec", "channels of the levels: expected \\[\\(2, 16\\), .*got \\[\\(2, 8\\)"),
    ("YieldsHalf", "levels_match_spec", "dtypes of the levels: expected {torch.float32}, got {torch.float16}"),
    ("YieldsNan", "levels_match_spec", "output 0 holds NaN or infinity, expected finite"),
    (
        "RoundsDown",
        "every_level_covers_the_image",
        "of an image of 63 x 48 the level of reduction 32 is \\(2, 1\\); expected at least 2 for 48",
    ),
    ("KeepsPadding", "every_level_covers_the_image", "reduction 4 is \\(80, 72\\); expected .* no more than 32"),
    (
        "IgnoresOutputStride",
        "every_output_stride_builds",
        "at output stride 8: reductions: expected \\(4, 8\\), got \\(4, 8, 16, 32\\)",
    ),
    ("KeepsEveryLevel", "every_output_stride_builds", "parameters that no level uses: neck.levels.2.weight"),
    (
        "NamesLevelsByTheirNumber",
        "every_output_stride_builds",
        "neck.named.2_0.weight, .* is not in that of the whole neck, with the same shape; expected the tensors",
    ),
]


@pytest.fixture(scope="module")
def checks():
    return {check.id: check for check in collect("acme-wrong-necks")}


def test_over_each_kind_of_features(checks):
    kinds = {check.case.kind.name for check in checks.values() if check.case.spec_name == "Right"}
    assert {"patches_of_16", "patches_of_14", "pyramid", "from_8", "steps_of_7", "repeated"} <= kinds
    assert {"acme-wrong-necks-plugin_module_is_light", "Right-patches_of_14-exports"} <= set(checks)
    assert "Right-patches_of_8-exports" not in checks


@pytest.mark.parametrize("name", [check.name for check in CHECKS if issubclass(NeckCase, check.kind)])
def test_what_is_right_passes(checks, name):
    found = [check for check in checks.values() if check.check.name == name and check.case.spec_name == "Right"]
    assert found
    for check in found[:1] if found[0].check.traces else found:  # compiling takes long, and is the same for each
        check.run()


@pytest.mark.parametrize(("neck", "check", "message"), WRONG, ids=[f"{neck}-{check}" for neck, check, _ in WRONG])
def test_the_check_finds_it(checks, neck, check, message):
    with pytest.raises(ConformanceError) as caught:
        checks[f"{neck}-patches_of_16-{check}"].run()
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)


def test_each_check_has_something_wrong_to_find():
    assert {check.name for check in CHECKS if check.kind is NeckCase} == {check for _, check, _ in WRONG}
