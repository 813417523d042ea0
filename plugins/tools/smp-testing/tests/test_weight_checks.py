"""Weight sets: each fault is found by the check of its name, and by that one alone."""

import re

import pytest

from smp_testing import collect
from smp_testing.checks import CHECKS, weights
from smp_testing.outcomes import result_of

WRONG = [
    ("Missing", "weight_files_are_whole", "file='acme_files:missing.safetensors': .*is missing; reinstall the plugin"),
    ("OfAnotherPackage", "weight_files_are_whole", "the package 'acme_absent' of .* is not installed"),
    ("Truncated", "weight_files_are_whole", "truncated.safetensors.*expected a file that can be read"),
    ("Replaced", "weight_files_are_whole", "sha256.*expected a file that can be read"),
    ("OtherShapes", "weight_files_fit", "do not load: .*do not fit encoder 'OtherShapes'"),
    ("OtherKeys", "weight_files_fit", "do not load: .*Missing key"),
    ("Incomplete", "weight_files_fit", 'do not load: .*Missing key\\(s\\) in state_dict: "stages.4.0.weight"'),
    ("Integers", "weight_files_fit", "do not load: .*int32"),
    ("Pickled", "weight_files_are_safetensors", "are a pickle, 'acme_files:right.pth'; expected safetensors"),
    ("PickledAnew", "weight_files_are_whole", "renamed.safetensors"),
    ("PickledOnHub", "weight_files_are_safetensors", "are a pickle, 'pytorch_model.bin'; expected safetensors"),
    (
        "ConvertsToNone",
        "weight_converters_return_state_dicts",
        "in_place' returned None; expected a new dict of tensors",
    ),
    ("ConvertsToNoneOnHub", "weight_converters_return_state_dicts", "in_place' returned None; expected a new dict"),
    ("ConvertsToPairs", "weight_converters_return_state_dicts", "to_pairs' returned a list; expected a new dict"),
    ("ConvertsToArrays", "weight_converters_return_state_dicts", "returned a dict that holds a ndarray; expected"),
    ("FailsToConvert", "weight_converters_return_state_dicts", "raised of its file: KeyError: 'stem.weight'"),
    ("ConvertsHalf", "weight_files_fit", "do not load: .*Missing key"),
    ("NamesNoConverter", "weight_converters_import", "convert='acme_weights.conversion:missing' does not import"),
    ("NamesNoFunction", "weight_converters_import", "convert='acme_weights.conversion:PREFIX' is not callable"),
]
OWN = {name for name, _ in vars(weights).items() if name in {check.name for check in CHECKS}}


@pytest.fixture(scope="module")
def checks(site):
    return [check for check in collect("acme-weights") if check.check.name in OWN]


@pytest.mark.parametrize(("case", "name", "message"), WRONG, ids=[f"{case}-{name}" for case, name, _ in WRONG])
def test_the_check_of_its_name_finds_it_and_no_other(checks, case, name, message):
    results = [result_of(check) for check in checks if check.case.name == case]
    failed = {result.check: result for result in results if result.status == "failed"}
    assert [*failed] == [name], failed
    assert re.search(message, failed[name].message, re.DOTALL), failed[name].message


@pytest.mark.parametrize("case", ["Right", "RightConverted", "RightOnHub"])
def test_what_is_right_passes(checks, case):
    results = [result_of(check) for check in checks if check.case.name == case]
    assert results
    assert {result.status for result in results} == {"passed"}, results


def test_each_check_has_something_wrong_to_find():
    assert {name for _, name, _ in WRONG} == OWN
