"""Every plugin with one fault, and the one check that is to find it."""

from test_checks_fail import WRONG as DECLARED
from test_hidden_checks import WRONG as HIDDEN
from test_neck_checks import WRONG as NECKS
from test_weight_checks import WRONG as WEIGHTS

# Where several checks would find it, the one that says it.
_CHOSEN = {
    "HasUnusedParameter": "every_depth_builds",
    "ForgetsTensorModel-pyramid": "state_dict_round_trip",
}
_DISTRIBUTIONS = ("acme-heavy",)

FURTHER = {
    "acme-mutants": {
        "TakesStridesAway": "dilation_keeps_what_is_seen",
        "KeepsLooseTensor": "tensors_follow_the_device",
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


def _of(rows, ending=""):
    found = {}
    for case, check, _ in rows:
        if case not in _DISTRIBUTIONS:
            found.setdefault(f"{case}{ending}", _CHOSEN.get(case, check))
    return found


MUTANTS = {
    "acme-wrong": _of(DECLARED),
    "acme-hidden": _of(HIDDEN),
    "acme-weights": _of(WEIGHTS),
    "acme-wrong-necks": _of(NECKS, "-patches_of_16"),
    **FURTHER,
}
"""By distribution and component: the check."""
