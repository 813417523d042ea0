"""Every check can fail: for each there is something wrong that it finds, with a message that says so."""

import re

import pytest

from smp_core.errors import OptionError, PluginError
from smp_testing import ConformanceError, collect
from smp_testing.cases import PluginCase
from smp_testing.checks import CHECKS, construction, hidden, options, places, repetition, tokens, weights
from smp_testing.checks.plugin import implementation_import_leaves_global_state_alone
from smp_testing.necks import NeckCase

# What is wrong, the check that finds it, and what the message says (a regular expression).
WRONG = [
    ("acme-heavy", "plugin_module_is_light", "expected status 'ok', got 'slow'.*imports torch"),
    (
        "acme-heavy",
        "implementation_import_leaves_global_state_alone",
        "warnings.filters: added .*acme.*\n.*os.environ: ACME_SEEN was None, is '1'",
    ),
    (
        "Fetches",
        "builds_without_network",
        "uses the network \\(getaddrinfo of weights.example\\), expected no connection",
    ),
    ("SetsDefaultDtype", "leaves_global_state_alone", "default dtype: was torch.float32, is torch.float64"),
    ("SetsEnvironment", "leaves_global_state_alone", "gradient mode: was True, is False"),
    ("SetsEnvironment", "leaves_global_state_alone", "warnings.filters: added"),
    ("SetsEnvironment", "leaves_global_state_alone", "os.environ: ACME_RAN was None, is '1'"),
    ("HoldsRealTensors", "builds_on_meta_device", "holds real tensors: mean; expected meta tensors only"),
    ("ReadsValues", "builds_on_meta_device", "cannot be built on the meta device, as checkpoints are loaded: .*item"),
    ("SpecLiesAboutChannels", "features_match_spec", "spec declares out_channels .*25\\)"),
    ("ReturnsTuple", "features_match_spec", "forward must return a list of tensors, got a tuple"),
    ("LiesAboutChannels", "features_match_spec", "expected .*\\(2, 24, 2, 2\\)\\], got .*\\(2, 48, 2, 2\\)\\]"),
    ("ChangesInputFeature", "features_match_spec", "features\\[0\\] must be the input itself"),
    ("YieldsNan", "features_match_spec", "output 5 holds NaN or infinity, expected finite"),
    ("SpecMiscounts", "num_parameters_matches_spec", "expected 12345, got 10248"),
    ("KeepsEveryStage", "every_depth_builds", "at depth 1 has parameters that no feature uses: stages.1.0.weight"),
    ("HasUnusedParameter", "every_depth_builds", "no feature uses: spare"),
    (
        "CannotDilate",
        "every_output_stride_builds",
        "at output stride 8: shapes .*expected .*, 8, 8\\)\\], got .*, 2, 2\\)\\]",
    ),
    ("TakesThreeChannels", "every_number_of_input_channels_builds", "to have 3 channels, but got 1 channels"),
    ("PadsTo64", "any_input_size", "63 x 48 gives a feature of \\(32, 32\\) at reduction 2; expected 24 for 48"),
    ("ViewsInput", "any_memory_layout", "channels innermost in memory; reshape in place of view: .*view size"),
    ("RefusesFullStateDict", "weights_fit_every_depth", "at depth 5 does not load at depth 1.*keys of missing stages"),
    ("ScalesByDepth", "weights_fit_every_depth", "at depth 1 against those at full depth: output 1 differs"),
    (
        "HidesFirstConvolution",
        "weights_fit_every_number_of_input_channels",
        "first_convolution is ''; expected the name",
    ),
    ("LeavesOutParameter", "stages_name_every_parameter_once", "'scale' is left out; expected .* exactly one name"),
    ("JoinsStages", "stages_name_every_parameter_once", "at depth 2: number of stages .*: expected 2, got 1"),
    ("JoinsBlocks", "stages_name_every_parameter_once", "expected the stem's and one a block, got 2"),
    ("SwapsStages", "features_end_their_stages", "features\\[4\\] is made with stages.3.0.weight.* after stage 4"),
    ("NamesTooEarly", "features_end_their_stages", "features\\[4\\] is made without stages.4.0.weight.*up to stage 4"),
    ("SwapsBlocks", "features_end_their_stages", "features\\[0\\] is made with the stages \\[1, 5\\] that"),
    ("HasNoBlocks", "gradient_checkpointing_only_saves_memory", "HasNoBlocks has no blocks to recompute"),
    ("CallsLayers", "gradient_checkpointing_only_saves_memory", "expected less: forward must call the blocks"),
    ("RecomputesOtherwise", "gradient_checkpointing_only_saves_memory", "training mode: features: output 4 differs"),
    ("CountsRuns", "gradient_checkpointing_only_saves_memory", "training mode: buffer runs: output 0 differs"),
    ("WritesIntoInput", "input_is_left_alone", "changed its input in place; expected it to be as before"),
    ("MixesBatch", "batch_items_are_independent", "an image beside other images: output 1 differs"),
    ("CountsBatch", "batch_items_are_independent", "an image alone against .* in a batch: output 1 differs"),
    ("HasUnusedParameter", "gradients_reach_every_parameter", "no gradient reaches spare; expected every parameter"),
    ("HasNanGradient", "gradients_reach_every_parameter", "gradient of scale holds NaN or infinity; expected finite"),
    ("ForgetsTensor", "state_dict_round_trip", "after loading another's state dict: output 1 differs"),
    ("RenamesKeys", "state_dict_round_trip", "its own state dict does not load strictly: .*Missing key"),
    ("EditsStateDict", "state_dict_round_trip", "keys of the caller's dict after load_state_dict: expected .*'extra'"),
    ("BranchesOnValues", "compiles", "does not compile with fullgraph=True"),
    ("BranchesOnSizes", "exports", "does not export with dynamic batch, height and width: .*width"),
    ("CannotBeScripted", "scripts_as_declared", "declares scriptable=True, but torch.jit.script fails"),
    ("SpecDeniesScript", "scripts_as_declared", "declares scriptable=False, but torch.jit.script takes it"),
    ("KeepsPaddingModel-pyramid", "any_image_size", "expected \\(1, 33, 63\\), got \\(1, 64, 64\\)"),
    ("RefusesDepthFourModel-pyramid", "every_depth_builds", "four levels are unlucky"),
    ("UpsamplesByEightModel-pyramid", "every_output_stride_builds", "at output stride 16: number, height and width"),
    (
        "UsesThreeChannelsModel-pyramid",
        "every_number_of_input_channels_builds",
        "to have 1 channels|to have 3 channels",
    ),
    ("IgnoresHeadModel-pyramid", "classes_and_heads", "expected the pair \\(masks, labels\\), got a Tensor"),
    ("IgnoresActivationModel-pyramid", "classes_and_heads", "masks with activation='sigmoid': output 0 differs"),
    ("IgnoresClassesModel-pyramid", "classes_and_heads", "masks with classes=1: expected \\(2, 1, .*got \\(2, 2, "),
    (
        "acme-lying",
        "licences_are_true",
        "Free: license='MIT', but the distribution states GPL-3.0-or-later \\(License-",
    ),
    ("acme-declares", "declarations_name_what_is_checked", "ConformanceSpec: nothing named 'Rihgt' is checked; there"),
    (
        "TakesStridesAway",
        "dilation_keeps_what_is_seen",
        "stride 8: the deepest feature sees 47 pixels of a row, 63 without",
    ),
    ("StaysInEvaluationModel-pyramid", "predict_restores_training_mode", "predict left modules in evaluation mode"),
    ("ForgetsTensorModel-pyramid", "save_and_load", "predictions after loading: output 0 differs"),
]


@pytest.fixture(scope="module")
def checks():
    names = ("acme-wrong", "acme-heavy", "acme-lying", "acme-declares", "acme-mutants")
    # Several have an encoder that is called Right.
    return {check.id: check for name in reversed(names) for check in collect(name)}


@pytest.mark.parametrize(("case", "check", "message"), WRONG, ids=[f"{case}-{check}" for case, check, _ in WRONG])
def test_the_check_finds_it(checks, case, check, message):
    bound = checks[f"{case}-{check}"]
    with pytest.raises((ConformanceError, PluginError, OptionError, RuntimeError)) as caught:
        bound.run()
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)


def test_a_target_that_does_not_import_is_named():
    case = PluginCase("acme-wrong", ("acme_wrong.missing",))
    with pytest.raises(ConformanceError, match=r"cannot import acme_wrong.missing: ModuleNotFoundError"):
        implementation_import_leaves_global_state_alone(case)


def test_each_check_has_something_wrong_to_find():
    # Those of necks: test_neck_checks.py; those of what people do to built modules: test_surgery_checks.py; those of
    # what no shape shows: test_hidden_checks.py; those of weight sets: test_weight_checks.py.
    # And test_further_checks.py; those of commands: test_command_checks.py.
    further = (construction, options, places, repetition)
    elsewhere = tuple(module.__name__ for module in (hidden, tokens, weights, *further))
    names = {
        check.name
        for check in CHECKS
        if check.kind is not NeckCase and not check.surgery and check.function.__module__ not in elsewhere
    }
    assert names - {"commands_can_be_called"} == {check for _, check, _ in WRONG}
