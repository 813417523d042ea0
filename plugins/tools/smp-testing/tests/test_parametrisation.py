"""The test function that a plugin gets: ids, expected failures, and what a wrong argument is told."""

import os
import subprocess
import sys

import pytest

from smp_core.errors import MissingPluginError, UnknownEncoderError
from smp_testing import BoundCheck, ConformanceError, collect, conformance
from smp_testing.expectations import NotApplicable


def parameters(function):
    (mark,) = function.pytestmark
    return {parameter.id: parameter for parameter in mark.args[1]}


def test_one_test_for_each_spec_and_check():
    found = parameters(conformance("ACME_wrong"))
    assert {"Right-exports", "RightModel-pyramid-exports", "RightModel-patches-exports"} <= set(found)
    assert {"acme-wrong-plugin_module_is_light", "RightModel-full_resolution-any_image_size"} <= set(found)


def test_a_check_that_does_not_apply_is_not_there():
    found = parameters(conformance("acme-wrong"))
    assert "Right-every_output_stride_builds" in found
    for absent in ("every_output_stride_builds", "num_parameters_matches_spec", "weights_fit_every_depth"):
        assert f"SpecIsBare-{absent}" not in found
    assert "RightModel-pyramid-every_output_stride_builds" not in found
    assert "RightModel-patches-predict_restores_training_mode" not in found


def test_an_expected_failure_is_strict_and_carries_its_reason():
    expected = {
        "CountsBatch": {"batch_items_are_independent": "divides by the batch"},
        "RightModel": {"exports": "soon"},
    }
    found = parameters(conformance("acme-wrong", expected_failures=expected))
    (mark,) = found["CountsBatch-batch_items_are_independent"].marks
    assert (mark.name, mark.kwargs) == ("xfail", {"reason": "divides by the batch", "strict": True})
    marked = {name for name, parameter in found.items() if parameter.marks}
    exports = {f"RightModel-{kind}-exports" for kind in ("pyramid", "patches", "full_resolution")}
    declared = {f"{name}-first_convolution_may_be_replaced" for name in ("Tokens", "SwapsBlocks", "JoinsBlocks")}
    assert marked == {"CountsBatch-batch_items_are_independent", *exports, *declared}
    (mark,) = found["Tokens-first_convolution_may_be_replaced"].marks
    assert mark.kwargs == {"reason": "patches are cut by a layer that the tests do not replace", "strict": True}


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"Rihgt": {"exports": "why"}}, "nothing named 'Rihgt' is checked; there are acme-wrong, BranchesOnSizes, "),
        ({"Right": {"export": "why"}}, "'Right' has no check 'export'; it has builds_without_network"),
        ({"SpecIsBare": {"weights_fit_every_depth": "why"}}, "'SpecIsBare' has no check 'weights_fit_every_depth'"),
        ({"Right": {"exports": " "}}, "'Right', 'exports': give the reason as a text, got ' '"),
    ],
)
def test_an_expected_failure_of_nothing_is_an_error(expected, message):
    with pytest.raises(ValueError, match=message):
        conformance("acme-wrong", expected_failures=expected)


def test_a_distribution_that_is_not_installed():
    with pytest.raises(MissingPluginError, match=r"no plugin of the distribution 'acme-none' is installed.*acme-wrong"):
        collect("acme-none")


def test_names_of_an_open_family_are_resolved_by_the_distribution():
    with pytest.raises(UnknownEncoderError, match="acme-wrong"):
        collect("acme-wrong", encoders=["open-small"])
    again = collect("acme-wrong", encoders=["Right"])
    assert [check.id for check in again].count("Right-exports") == 2


@pytest.mark.parametrize("options", [{"aux_params": {"classes": 2}}, lambda encoder: {"aux_params": {"classes": 2}}])
def test_options_reach_the_architecture(options):
    checks = {check.id: check for check in collect("acme-wrong", options={"RightModel": options})}
    case = checks["RightModel-pyramid-any_image_size"].case
    assert len(case.run(case.settled(), case.image())) == 2


def test_what_an_optional_member_is_missing_for_fails_once_and_says_what_to_write():
    function = conformance("acme-wrong")
    found = parameters(function)
    (bound,) = found["NamesNoStages-stages_name_every_parameter_once"].values
    with pytest.raises(NotApplicable, match=r"^NamesNoStages names no stages \(stage_modules\), which freezing"):
        bound.run()
    with pytest.raises(
        ConformanceError, match=r"nothing says why\nhint: give it what is missing, or say in the plugin"
    ):
        function(bound)
    (bound,) = found["NamesNoStages-features_end_their_stages"].values  # it shows only once the encoder is built
    message = "features_end_their_stages fails as NamesNoStages-stages_name_every_parameter_once does; see there"
    with pytest.raises(pytest.skip.Exception, match=message):
        function(bound)


def test_what_a_plugin_raises_is_said_in_its_words_and_with_what_was_expected():
    function = conformance("acme-mutants")
    (bound,) = parameters(function)["CannotRun-features_match_spec"].values
    with pytest.raises(
        ConformanceError, match=r"^CannotRun: NotImplementedError: to be written; expected: One finite f"
    ):
        function(bound)


def test_a_bound_check_says_its_id_where_pytest_shows_it():
    bound = collect("acme-wrong")[0]
    assert isinstance(bound, BoundCheck)
    assert repr(bound) == str(bound) == bound.id == "acme-wrong-plugin_module_is_light"


def test_run_by_pytest(tmp_path, site):
    (tmp_path / "test_conformance.py").write_text(
        "from smp_testing import conformance\n\n"
        "expected = {'CountsBatch': {'batch_items_are_independent': 'divides', 'input_is_left_alone': 'does not'}}\n"
        "test_conformance = conformance('acme-wrong', expected_failures=expected)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir=."]
    chosen = ["-k", "(CountsBatch or MixesBatch) and (batch_items or input_is)"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [*command, *chosen], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    for line in (
        "PASSED test_conformance.py::test_conformance[MixesBatch-input_is_left_alone]",
        "XFAIL test_conformance.py::test_conformance[CountsBatch-batch_items_are_independent] - divides",
        "FAILED test_conformance.py::test_conformance[CountsBatch-input_is_left_alone]",
        "[XPASS(strict)] does not",
        "FAILED test_conformance.py::test_conformance[MixesBatch-batch_items_are_independent]",
        "2 failed, 1 passed",
    ):
        assert line in done.stdout, done.stdout + done.stderr
