"""Which checks say nothing new where which others fail: one cause is to be one failure.

A check that fails is run; only then are the ones named here looked at, and where one of them fails, too, it is that one
which is reported. So nothing is hidden of what has a cause of its own, but until that one is mended.
"""

from __future__ import annotations

_BEFORE_ALL = ("builds_without_network", "leaves_global_state_alone")
# That the module runs at all, and gives what it declares.
_FOUNDATION = ("features_match_spec", "any_image_size", "levels_match_spec")
# What a module is: all of it known to torch, its own, and a function of its input. What compares numbers relies on it.
_BASICS = ("parts_are_registered", "models_share_nothing", "repeats_itself")
_OF_CALLS = ("hooks_fire_on_every_module", "weights_are_read_at_each_call", "gradients_reach_every_parameter")

_CAUSES: dict[str, tuple[str, ...]] = {
    "builds_without_network": (),
    "leaves_global_state_alone": ("builds_without_network",),
    "models_share_nothing": _BEFORE_ALL,
    **dict.fromkeys(
        _FOUNDATION, ("implementation_import_leaves_global_state_alone", *_BEFORE_ALL, "models_share_nothing")
    ),
    "input_is_left_alone": (*_BEFORE_ALL, *_FOUNDATION),
    "parts_are_registered": (*_BEFORE_ALL, *_FOUNDATION),
    "evaluation_changes_nothing": (
        *(*_BEFORE_ALL, *_FOUNDATION, "input_is_left_alone"),
        *("parts_are_registered", "models_share_nothing"),
    ),
    "repeats_itself": (
        *(*_BEFORE_ALL, *_FOUNDATION, "input_is_left_alone"),
        *("parts_are_registered", "models_share_nothing", "evaluation_changes_nothing"),
    ),
    "builds_ready_to_train": (*_BEFORE_ALL, *_FOUNDATION),
    # Encoders
    "dilation_keeps_what_is_seen": ("every_output_stride_builds",),
    "every_number_of_input_channels_builds": ("every_depth_builds",),
    "weights_fit_every_depth": ("state_dict_round_trip", "every_depth_builds"),
    "weights_fit_every_number_of_input_channels": (
        "every_number_of_input_channels_builds",
        "state_dict_round_trip",
    ),
    "weight_files_fit": (
        *("weight_files_are_whole", "weight_converters_import", "weight_converters_return_state_dicts"),
        "state_dict_round_trip",
    ),
    "stages_name_every_parameter_once": ("every_depth_builds",),
    "features_end_their_stages": (
        *("every_depth_builds", "stages_name_every_parameter_once"),
        "gradients_reach_every_parameter",
    ),
    "features_keep_their_place": (
        *("any_input_size", "every_level_covers_the_image"),
        *("batch_items_are_independent", "every_input_channel_counts"),
    ),
    "gradient_checkpointing_only_saves_memory": (
        *(
            "seeds_are_the_users",
            "every_depth_builds",
            "stages_name_every_parameter_once",
            "evaluation_changes_nothing",
        ),
        *("gradients_reach_every_parameter", "hooks_fire_on_every_module"),
    ),
    "output_indices_are_honoured": ("every_depth_builds",),
    "wrong_output_indices_are_refused": ("output_indices_are_honoured", "every_depth_builds"),
    "every_input_channel_counts": (
        *("every_number_of_input_channels_builds", "every_depth_builds"),
        "batch_items_are_independent",
    ),
    "seeds_are_the_users": ("every_depth_builds",),
    "compiles": ("seeds_are_the_users",),
    "first_convolution_may_be_replaced": (
        *("weights_fit_every_number_of_input_channels", "every_number_of_input_channels_builds"),
        "every_input_channel_counts",
    ),
    # Architectures
    "classes_and_heads": ("state_dict_round_trip",),
    "save_and_load": ("state_dict_round_trip", "builds_on_meta_device"),
    "heads_may_be_replaced": ("classes_and_heads",),
    # What optimize makes of them
    "inference_form_leaves_the_original_alone": (
        *("state_dict_round_trip", "evaluation_changes_nothing"),
        "any_memory_layout",
    ),
    "inference_form_gives_the_same": (
        *(
            "inference_form_leaves_the_original_alone",
            "any_input_size",
            "any_memory_layout",
            "evaluation_changes_nothing",
        ),
        *("copies_are_independent", "batch_items_are_independent", "weights_are_read_at_each_call"),
    ),
    "inference_form_only_infers": ("inference_form_gives_the_same",),
    "inference_form_keeps_changes": (
        "inference_form_gives_the_same",
        "hooks_fire_on_every_module",
        "wrapped_layers_train",
    ),
    "inference_form_is_saved": ("inference_form_gives_the_same", "copies_are_independent"),
    "inference_form_compiles_and_exports": (
        "inference_form_gives_the_same",
        "compiles",
        "exports",
        "tensors_follow_the_device",
    ),
    # All
    "gradients_reach_every_parameter": ("every_depth_builds",),
    "any_input_size": ("batch_items_are_independent",),
    "hooks_fire_on_every_module": ("every_depth_builds", "gradients_reach_every_parameter"),
    "exports": ("compiles", "any_input_size", "features_keep_their_place"),
    "tensors_follow_the_device": ("compiles", "state_dict_round_trip"),
    "flat_images_are_finite": ("gradients_reach_every_parameter",),
    "gradients_reach_the_image": ("gradients_reach_every_parameter",),
    "runs_under_autocast": (
        *("gradients_reach_every_parameter", "tensors_follow_the_device", "state_dict_round_trip"),
        *("batch_items_are_independent", "float64_is_kept"),
    ),
    "other_dtypes_stay_near": ("float64_is_kept", "tensors_follow_the_device", "state_dict_round_trip"),
    "maps_over_images_and_models": (
        *("compiles", "batch_items_are_independent", "state_dict_round_trip", "evaluation_changes_nothing"),
        *("weights_are_read_at_each_call", "copies_are_independent", "float64_is_kept"),
    ),
    "copies_are_independent": ("state_dict_round_trip", "weights_are_read_at_each_call"),
    "weights_are_read_at_each_call": ("state_dict_round_trip", "hooks_fire_on_every_module"),
    "opens_in_a_new_process": ("copies_are_independent", "state_dict_round_trip"),
    "pruned_layers_train": (*_OF_CALLS, "parametrisations_run_once"),
    "wrapped_layers_train": (*_OF_CALLS, "parametrisations_run_once"),
    "parametrisations_run_once": _OF_CALLS,
    "changed_attributes_count": _OF_CALLS,
    "longer_sequences_run": _OF_CALLS,
    "dynamically_quantised_layers_run": _OF_CALLS,
    "recomputed_layers_train_alike": (
        *(*_OF_CALLS, "parametrisations_run_once", "float64_is_kept"),
        *("flat_images_are_finite", "evaluation_changes_nothing"),
    ),
    "trains_in_two_processes": (
        *(*_OF_CALLS, "every_depth_builds", "float64_is_kept"),
        *("copies_are_independent", "opens_in_a_new_process"),
    ),
    "trains_sharded": (
        *_OF_CALLS,
        *("every_depth_builds", "copies_are_independent", "flat_images_are_finite", "trains_in_two_processes"),
        *("parametrisations_run_once", "recomputed_layers_train_alike", "float64_is_kept", "opens_in_a_new_process"),
    ),
}
# Those whose causes are all named above.
_WHOLE = (
    *(*_BEFORE_ALL, *_FOUNDATION, *_BASICS),
    *("input_is_left_alone", "evaluation_changes_nothing", "builds_ready_to_train"),
)
# What has nothing to do with running a module.
_APART: dict[str, tuple[str, ...]] = {
    "plugin_module_is_light": (),
    "implementation_import_leaves_global_state_alone": (),
    "commands_can_be_called": ("implementation_import_leaves_global_state_alone",),
    "declarations_name_what_is_checked": (),
    "licences_are_true": (),
    "weight_files_are_whole": (),
    "weight_files_are_safetensors": (),
    "weight_converters_import": (),
    "weight_converters_return_state_dicts": ("weight_converters_import", "weight_files_are_whole"),
}


def causes_of(check: str) -> tuple[str, ...]:
    """The names of the checks that say what there is to say, where they fail beside this one."""
    if check in _APART:
        return _APART[check]
    if check in _WHOLE:
        return _CAUSES[check]
    return (*_BEFORE_ALL, *_FOUNDATION, "input_is_left_alone", *_BASICS, *_CAUSES.get(check, ()))
