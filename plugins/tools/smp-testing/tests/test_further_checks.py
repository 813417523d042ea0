"""What differs from call to call, lies elsewhere than it looks, is unknown to torch, or changes the process."""

import re
import sys

import pytest

from smp_testing import collect
from smp_testing.outcomes import result_of

PLACE = "does not lie where it looks"
GLOBAL = "building and running it changes global state"
WRONG = [
    ("DropsInEvaluation", "repeats_itself", "two calls for the same image give different results"),
    ("AddsNoise", "repeats_itself", "two calls for the same image give different results"),
    ("ForgetsFirstCall", "repeats_itself", "the first call gives another result than the second"),
    ("CountsModels", "repeats_itself", "a second module, built of the same seed, gives another result"),
    ("AddsNoiseModel-pyramid", "repeats_itself", "two calls for the same image give different results"),
    ("DropsAlwaysNeck-patches_of_16", "repeats_itself", "two calls for the same image give different results"),
    ("SharesScale", "models_share_nothing", "two models share scale; expected each to have its own"),
    ("SharesLayer", "models_share_nothing", "two models share stages.0.3.weight, stages.0.3.bias; expected"),
    ("FlipsFeature", "features_keep_their_place", f"output 1 {PLACE}: .*part \\(0, 0\\) changes part \\(0, 2\\)"),
    ("FlipsDeepest", "features_keep_their_place", f"output 5 {PLACE}: .*part \\(0, 0\\) changes part \\(1, 0\\)"),
    ("TransposesSquares", "features_keep_their_place", f"output 1 {PLACE}"),
    ("RollsFeature", "features_keep_their_place", f"output 1 {PLACE}"),
    ("ScramblesTokens", "features_keep_their_place", f"output 0 {PLACE}"),
    ("TurnsTokens", "features_keep_their_place", f"output 0 {PLACE}"),
    ("FlipsMasksModel-pyramid", "features_keep_their_place", f"output 0 {PLACE}"),
    ("FlipsLevelNeck-patches_of_16", "features_keep_their_place", f"output 0 {PLACE}"),
    ("HoldsLayersInList", "parts_are_registered", "the layers or parameters in extra, a list: they are not saved"),
    ("HoldsLayersInDict", "parts_are_registered", "the layers or parameters in extra, a dict: they are not saved"),
    ("DrawsBuffer", "state_dict_round_trip", "the two have other numbers in table, which the state dict does not"),
    ("IgnoresDepth", "every_depth_builds", "at depth 1 its spec declares out_channels"),
    ("FailsAtLowerDepth", "every_depth_builds", "IndexError"),
    ("FailsAtFirstDepth", "every_depth_builds", "sizes do not fit"),
    ("IsBuiltInEvaluation", "builds_ready_to_train", "is built in evaluation mode: the module itself, stages"),
    ("FreezesStem", "builds_ready_to_train", "with frozen parameters: stages.0.0.weight.* expected all to be train"),
    (
        "LearnsNothing",
        "gradients_reach_every_parameter",
        "gradient of stages.0.0.weight is 0 everywhere; expected it to learn",
    ),
    ("HasNoGradient", "gradients_reach_every_parameter", "nothing that forward returns requires a gradient"),
    ("HooksEveryModule", "leaves_global_state_alone", f"{GLOBAL}.*hooks of all modules: _global_forward_hooks was"),
    ("ReplacesFunction", "leaves_global_state_alone", f"{GLOBAL}.*torch.nn.functional.interpolate was replaced"),
    ("CoversMethod", "leaves_global_state_alone", f"{GLOBAL}.*torch.*Tensor.add was replaced"),
    ("IgnoresInterrupts", "leaves_global_state_alone", f"{GLOBAL}.*handlers of signals: SIGINT was .*SIG_IGN"),
    ("LeavesThreads", "leaves_global_state_alone", f"{GLOBAL}.*threads: Thread-.* was left running"),
    ("Forks", "leaves_global_state_alone", f"{GLOBAL}.*times that the process was forked: was"),
    ("CollectsNoGarbage", "leaves_global_state_alone", f"{GLOBAL}.*garbage is collected: was True, is False"),
    ("SeedsNumpy", "seeds_are_the_users", "building it sets NumPy's seed; expected it to leave that to the user"),
    ("SeedsPython", "seeds_are_the_users", "building it sets Python's seed; expected it to leave that to the user"),
    ("SeedsInForward", "seeds_are_the_users", "running it in training mode sets torch's seed \\(to 0\\); expected"),
    ("ExitsInForward", "features_match_spec", "SystemExit: 0"),
    ("StopsInForward", "features_match_spec", "GeneratorExit"),
    ("IgnoresOption", "user_options_do_as_declared", "its option slope has no effect: with slope=0.05"),
    ("IgnoresNumber", "user_options_do_as_declared", "its option slope has no effect: with slope=0.05"),
    ("MisspellsOption", "user_options_do_as_declared", "name slop, which its target does not take; .*slope"),
    ("DefaultIsOfNoKind", "user_options_do_as_declared", "default of its option slope is 0.1, .*one of steep, flat"),
]
OWN = {check for _, check, _ in WRONG}


@pytest.fixture(scope="module")
def checks():
    return collect("acme-further")


def results_of(checks, component):
    """Of what takes no time; test_one_cause.py runs all."""
    own = [check for check in checks if check.case.name == component and not check.check.traces]
    return [result_of(check) for check in own if not check.check.surgery or check.check.name in OWN]


@pytest.mark.parametrize(("component", "check", "message"), WRONG, ids=[f"{item[0]}-{item[1]}" for item in WRONG])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # of the one that forks
def test_the_check_of_its_name_finds_it_and_no_other(checks, component, check, message):
    if component == "Forks" and sys.platform == "win32":
        pytest.skip("there is no fork")
    own = [result for result in results_of(checks, component) if result.status == "failed"]
    # Declared as a failure, where results are told.
    failed = {result.check: result for result in own if result.check != "first_convolution_may_be_replaced"}
    assert [*failed] == [check], {name: result.message for name, result in failed.items()}
    assert re.search(message, failed[check].message, re.DOTALL), failed[check].message


def test_an_option_that_has_an_effect_is_no_failure(checks):
    results = {result.check: result.status for result in results_of(checks, "TakesOption")}
    assert results["user_options_do_as_declared"] == "passed"
    assert not {"failed"} & {*results.values()}


def test_an_error_of_the_core_is_told_as_it_is(checks):
    (result,) = (result for result in results_of(checks, "IgnoresDepth") if result.status == "failed")
    assert "expected:" not in result.message


def test_where_something_is_to_be_written_the_hint_says_it(checks):
    hints = {
        "HoldsLayersInList": "self.extra = nn.ModuleList([...])",
        "HoldsLayersInDict": "self.extra = nn.ModuleDict({...})",
        "DropsInEvaluation": "F.dropout(x, p, training=self.training)",
        "ScramblesTokens": ".transpose(1, 2).reshape(N, C, H, W)",
        "ExitsInForward": "sys.exit ends the program",
        "DrawsBuffer": "register_buffer(name, tensor) saves it",
    }
    for component, text in hints.items():
        found = [result.hint for result in results_of(checks, component) if result.hint]
        assert any(text in hint for hint in found), (component, found)
