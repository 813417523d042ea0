"""Each fault is one failure, of the check that says it, whatever else it makes fail; and what is right has none."""

import runpy
from pathlib import Path

import pytest

from smp_testing import check_plugin, collect
from smp_testing.declared import declared_by, reasons_of
from smp_testing.outcomes import result_of
from smp_testing.report import FAILURES

# Where several checks would find it, the one that says it.
_CHOSEN = {
    "HasUnusedParameter": "every_depth_builds",
    "ForgetsTensorModel-pyramid": "state_dict_round_trip",
}
_ELSEWHERE = ("acme-heavy", "acme-lying", "acme-declares", "TakesStridesAway")

FURTHER = {
    "acme-mutants": {
        "TakesStridesAway": "dilation_keeps_what_is_seen",
        "KeepsLooseTensor": "tensors_follow_the_device",
        "CutsTheImageOff": "gradients_reach_the_image",
        "AddsOneDtypeToAnother": "runs_under_autocast",
        "YieldsTooMany": "features_match_spec",
        "ReversesPyramid": "features_match_spec",
        "YieldsDict": "features_match_spec",
        "YieldsHalf": "features_match_spec",
        "CannotRun": "features_match_spec",
        "CannotBeBuilt": "features_match_spec",
        "YieldsTokensAlone": "features_match_spec",
        "ForgetsTokensOfSome": "features_match_spec",
        "AddsFirstImage": "batch_items_are_independent",
        "NormalisesByBatch": "batch_items_are_independent",
        "DropsSecondChannel": "every_input_channel_counts",
        "NeedsWholePatches": "any_input_size",
        "HoldsWeightTwice": "state_dict_round_trip",
        "CallsFunctions": "hooks_fire_on_every_module",
        "PicklesNot": "copies_are_independent",
        "AddsFloat32": "other_dtypes_stay_near",
        "TakesNoIndices": "output_indices_are_honoured",
        "NamesWrongConvolution": "weights_fit_every_number_of_input_channels",
        "SaysNothingOfStages": "stages_name_every_parameter_once",
        "HasUnusedLayerModel-pyramid": "gradients_reach_every_parameter",
        "KeepsFeaturesModel-pyramid": "keeps_no_tensors",
        "CountsCallsModel-pyramid": "evaluation_changes_nothing",
        "RoundsToFloat32Model-pyramid": "float64_is_kept",
        "WritesIntoImageModel-pyramid": "gradients_reach_every_parameter",
        "MixesBatchModel-pyramid": "batch_items_are_independent",
        "DividesByContrastModel-pyramid": "flat_images_are_finite",
        "SeedsItselfModel-pyramid": "seeds_are_the_users",
        "ReturnsListModel-pyramid": "any_image_size",
        "KeepsLevelsNeck-patches_of_16": "keeps_no_tensors",
        "MixesBatchNeck-patches_of_16": "batch_items_are_independent",
        "RoundsToFloat32Neck-patches_of_16": "float64_is_kept",
    },
    "acme-lying": {"acme-lying": "licences_are_true"},
    "acme-broken": {"acme-broken": "implementation_import_leaves_global_state_alone"},
}


def _of(module, ending=""):
    """What the table of another test module says."""
    found = {}
    for case, check, _ in runpy.run_path(str(Path(__file__).with_name(module)))["WRONG"]:
        if case not in _ELSEWHERE:
            found.setdefault(f"{case}{ending}", _CHOSEN.get(case, check))
    return found


MUTANTS = {
    "acme-wrong": _of("test_checks_fail.py"),
    "acme-hidden": _of("test_hidden_checks.py"),
    "acme-weights": _of("test_weight_checks.py"),
    "acme-wrong-necks": _of("test_neck_checks.py", "-patches_of_16"),
    "acme-further": _of("test_further_checks.py"),
    **FURTHER,
}
"""By distribution and component: the check."""

EACH = [(distribution, component) for distribution, found in MUTANTS.items() for component in found]
# What would fail many checks, or had failed others.
SAMPLE = [
    ("acme-wrong", "ReadsValues"),
    ("acme-wrong", "SetsEnvironment"),
    ("acme-wrong", "WritesIntoInput"),
    ("acme-wrong", "YieldsNan"),
    ("acme-wrong", "ForgetsTensor"),
    ("acme-mutants", "KeepsLooseTensor"),
    ("acme-mutants", "CannotBeBuilt"),
    ("acme-mutants", "CallsFunctions"),
    ("acme-mutants", "HasUnusedLayerModel-pyramid"),
    ("acme-broken", "acme-broken"),
]
RIGHT = ("patches14", "upstream", "functional", "tied", "blurred", "vit14_registers")


def is_quick(check):
    return not check.traces and not check.starts_processes


@pytest.fixture(scope="module")
def collected(site):
    """The checks of a distribution, collected once."""
    found = {}

    def of(distribution):
        if distribution not in found:
            found[distribution] = collect(distribution)
        return found[distribution]

    return of


def results_of(collected, distribution, components, wanted=lambda check: True):
    """What becomes of the checks of some components; None for those of all."""
    checks = [
        check
        for check in collected(distribution)
        if (components is None or check.case.name in components) and wanted(check.check)
    ]
    reasons = reasons_of(checks, declared_by(distribution).expected_failures)
    return [result_of(check, reasons.get(check.id)) for check in checks]


def expect_one(results, check):
    failed = {result.id: result.message for result in results if result.status in FAILURES}
    assert len(failed) == 1, failed
    assert next(iter(failed)).endswith(f"-{check}"), failed


def test_there_are_many():
    assert len(EACH) >= 150
    assert {*SAMPLE} <= {*EACH}


@pytest.mark.parametrize(
    ("distribution", "component"), SAMPLE, ids=[f"{name}-{component}" for name, component in SAMPLE]
)
def test_one_fault_is_one_failure(collected, distribution, component):
    check = MUTANTS[distribution][component]
    named = {check}
    if distribution == "acme-broken":  # the encoder's failures are explained by the distribution's
        expect_one(results_of(collected, distribution, None, lambda item: is_quick(item) or item.name in named), check)
        return
    expect_one(results_of(collected, distribution, [component], is_quick), check)


@pytest.mark.slow
@pytest.mark.parametrize(("distribution", "component"), EACH, ids=["-".join(item) for item in EACH])
def test_one_fault_is_one_failure_of_all_checks(collected, distribution, component):
    whole = distribution in ("acme-broken", "acme-lying")
    results = results_of(collected, distribution, None if whole else [component])
    expect_one(results, MUTANTS[distribution][component])


@pytest.mark.parametrize("component", RIGHT)
def test_what_is_right_has_no_failure(collected, component):
    results = results_of(collected, "acme-right", [component], is_quick)
    assert len(results) > 20
    assert not [result for result in results if result.status in FAILURES]


def test_filters_of_warnings_that_somebody_elses_package_adds_are_not_the_plugins(collected):
    name = "implementation_import_leaves_global_state_alone"
    (result,) = results_of(collected, "acme-right", ["acme-right"], lambda check: check.name == name)
    assert (result.status, result.message) == ("passed", "")


@pytest.mark.slow
@pytest.mark.parametrize("distribution", ["acme-right", "acme-specs-alone"])
def test_what_is_right_has_no_failure_of_all_checks(distribution):
    report = check_plugin(distribution)
    assert report.passed, report.summary()
