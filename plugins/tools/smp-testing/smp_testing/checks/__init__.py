"""Every check, in the order in which they run."""

from __future__ import annotations

from dataclasses import replace

from smp_testing.cases import ArchitectureCase, EncoderCase, ModuleCase, PluginCase
from smp_testing.check import Check
from smp_testing.checks import (
    architecture,
    construction,
    copies,
    dilation,
    distributed,
    encoder,
    flow,
    hidden,
    inference,
    module,
    neck,
    options,
    places,
    plugin,
    process,
    repetition,
    stages,
    surgery,
    tokens,
    tracing,
    weights,
)
from smp_testing.checks.causes import causes_of
from smp_testing.necks import NeckCase


def _is_main(case: ModuleCase) -> bool:
    """Some checks of an architecture or a neck have nothing to do with the kind of encoder: one is enough."""
    return not isinstance(case, (ArchitectureCase, NeckCase)) or case.is_main


_CHECKS: tuple[Check, ...] = (
    Check(function=plugin.plugin_module_is_light, kind=PluginCase, starts_processes=True),
    Check(
        function=plugin.implementation_import_leaves_global_state_alone,
        kind=PluginCase,
        starts_processes=True,
        applies=lambda case: bool(case.modules),
    ),
    Check(function=plugin.commands_can_be_called, kind=PluginCase, applies=lambda case: bool(case.commands)),
    Check(function=plugin.declarations_name_what_is_checked, kind=PluginCase),
    Check(function=plugin.licences_are_true, kind=PluginCase, applies=lambda case: bool(case.licences)),
    Check(function=process.builds_without_network, kind=ModuleCase, applies=_is_main),
    Check(function=process.leaves_global_state_alone, kind=ModuleCase, applies=_is_main),
    Check(function=module.builds_on_meta_device, kind=ModuleCase, applies=_is_main),
    # Encoders
    Check(function=encoder.features_match_spec, kind=EncoderCase),
    Check(
        function=encoder.num_parameters_matches_spec,
        kind=EncoderCase,
        applies=lambda case: case.spec.num_parameters is not None,
    ),
    Check(function=encoder.every_depth_builds, kind=EncoderCase),
    Check(function=encoder.every_output_stride_builds, kind=EncoderCase, applies=lambda case: bool(case.spec.dilation)),
    Check(
        function=dilation.dilation_keeps_what_is_seen,
        kind=EncoderCase,
        needs_numbers=True,
        applies=lambda case: bool(case.spec.dilation),
    ),
    Check(function=encoder.every_number_of_input_channels_builds, kind=EncoderCase),
    Check(
        function=options.user_options_do_as_declared,
        kind=EncoderCase,
        needs_numbers=True,
        applies=lambda case: bool(case.spec.user_options),
    ),
    Check(function=encoder.any_input_size, kind=EncoderCase),
    Check(function=encoder.any_memory_layout, kind=EncoderCase, needs_numbers=True),
    Check(
        function=encoder.weights_fit_every_depth,
        kind=EncoderCase,
        applies=lambda case: bool(case.spec.weights) and case.spec.min_depth < case.spec.max_depth,
    ),
    Check(
        function=encoder.weights_fit_every_number_of_input_channels,
        kind=EncoderCase,
        applies=lambda case: bool(case.spec.weights),
    ),
    Check(function=weights.weight_files_are_whole, kind=EncoderCase, applies=weights.has_files),
    Check(
        function=weights.weight_files_are_safetensors, kind=EncoderCase, applies=lambda case: bool(case.spec.weights)
    ),
    *(
        Check(
            function=function,
            kind=EncoderCase,
            applies=lambda case: any(item.convert for item in case.spec.weights.values()),
        )
        for function in (weights.weight_converters_import, weights.weight_converters_return_state_dicts)
    ),
    Check(function=weights.weight_files_fit, kind=EncoderCase, needs_numbers=True, applies=weights.has_files),
    Check(function=stages.stages_name_every_parameter_once, kind=EncoderCase),
    Check(function=stages.features_end_their_stages, kind=EncoderCase),
    Check(function=stages.gradient_checkpointing_only_saves_memory, kind=EncoderCase, needs_numbers=True),
    *(
        Check(function=function, kind=EncoderCase, applies=lambda case: case.spec.tokens)
        for function in (tokens.prefix_tokens_are_counted, tokens.wrong_output_indices_are_refused)
    ),
    Check(
        function=tokens.output_indices_are_honoured,
        kind=EncoderCase,
        needs_numbers=True,
        applies=lambda case: case.spec.tokens,
    ),
    # Architectures
    Check(function=architecture.any_image_size, kind=ArchitectureCase),
    Check(function=architecture.every_depth_builds, kind=ArchitectureCase),
    Check(
        function=architecture.every_output_stride_builds,
        kind=ArchitectureCase,
        applies=lambda case: bool(case.spec.dilation),
    ),
    Check(function=architecture.every_number_of_input_channels_builds, kind=ArchitectureCase, applies=_is_main),
    Check(function=architecture.classes_and_heads, kind=ArchitectureCase),
    Check(function=architecture.predict_restores_training_mode, kind=ArchitectureCase, applies=_is_main),
    Check(function=architecture.save_and_load, kind=ArchitectureCase),
    # Necks
    Check(function=neck.levels_match_spec, kind=NeckCase),
    Check(function=neck.every_level_covers_the_image, kind=NeckCase),
    Check(function=neck.every_output_stride_builds, kind=NeckCase),
    # All three
    Check(function=construction.parts_are_registered, kind=ModuleCase, applies=_is_main),
    Check(function=construction.builds_ready_to_train, kind=ModuleCase, applies=_is_main),
    Check(function=repetition.models_share_nothing, kind=ModuleCase, applies=_is_main),
    Check(function=repetition.repeats_itself, kind=ModuleCase, needs_numbers=True),
    Check(function=places.features_keep_their_place, kind=ModuleCase, needs_numbers=True),
    Check(function=module.input_is_left_alone, kind=ModuleCase, needs_numbers=True),
    Check(function=module.batch_items_are_independent, kind=ModuleCase, needs_numbers=True),
    Check(function=module.gradients_reach_every_parameter, kind=ModuleCase, needs_numbers=True),
    Check(function=module.state_dict_round_trip, kind=ModuleCase, needs_numbers=True),
    Check(function=tracing.compiles, kind=ModuleCase, needs_numbers=True, traces=True),
    Check(function=tracing.exports, kind=ModuleCase, needs_numbers=True, traces=True),
    Check(
        function=tracing.scripts_as_declared,
        kind=ModuleCase,
        needs_numbers=True,
        traces=True,
        applies=lambda _: tracing.SCRIPT_IS_SUPPORTED,
    ),
    # What they depend on and keep
    *(
        Check(function=function, kind=ModuleCase, needs_numbers=True, surgery=True, applies=_is_main)
        for function in (
            hidden.evaluation_changes_nothing,
            hidden.keeps_no_tensors,
            hidden.flat_images_are_finite,
            hidden.float64_is_kept,
            hidden.tensors_follow_the_device,
            hidden.seeds_are_the_users,
            flow.gradients_reach_the_image,
            flow.runs_under_autocast,
        )
    ),
    Check(function=hidden.every_input_channel_counts, kind=EncoderCase, needs_numbers=True, surgery=True),
    # What people do to them
    *(
        Check(function=function, kind=ModuleCase, needs_numbers=True, surgery=True)
        for function in (
            surgery.hooks_fire_on_every_module,
            surgery.pruned_layers_train,
            surgery.wrapped_layers_train,
            surgery.parametrisations_run_once,
            surgery.changed_attributes_count,
            surgery.longer_sequences_run,
            surgery.dynamically_quantised_layers_run,
            copies.copies_are_independent,
            copies.weights_are_read_at_each_call,
            copies.maps_over_images_and_models,
            copies.other_dtypes_stay_near,
            copies.recomputed_layers_train_alike,
        )
    ),
    *(
        Check(function=function, kind=ModuleCase, needs_numbers=True, surgery=True, starts_processes=True)
        for function in (
            distributed.opens_in_a_new_process,
            distributed.trains_in_two_processes,
            distributed.trains_sharded,
        )
    ),
    # What optimize makes of them
    *(
        Check(function=function, kind=ModuleCase, needs_numbers=True, surgery=True, applies=_is_main)
        for function in (
            inference.inference_form_leaves_the_original_alone,
            inference.inference_form_gives_the_same,
            inference.inference_form_only_infers,
            inference.inference_form_keeps_changes,
            inference.inference_form_is_saved,
        )
    ),
    Check(
        function=inference.inference_form_compiles_and_exports,
        kind=ModuleCase,
        needs_numbers=True,
        traces=True,
        surgery=True,
        applies=_is_main,
    ),
    Check(function=copies.first_convolution_may_be_replaced, kind=EncoderCase, needs_numbers=True, surgery=True),
    Check(function=copies.heads_may_be_replaced, kind=ArchitectureCase, needs_numbers=True, surgery=True),
)

CHECKS: tuple[Check, ...] = tuple(replace(check, yields_to=causes_of(check.name)) for check in _CHECKS)
"""Conditions are explicit: a check that does not apply is not generated, and a table shows at a glance when that is."""
