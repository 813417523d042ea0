from smp_core.plugin import EncoderSpec, Flag, hookimpl

api_version = 1


@hookimpl
def smp_encoders():
    shared = {
        "target": "nordic_regnet.encoder:RegNet",
        "reductions": (1, 2, 4, 8, 16, 32),
        "license": "BSD-3-Clause",
        "paper": "Radosavovic et al., Designing Network Design Spaces, arXiv:2003.13678",
        "user_options": ("gates",),
        "option_kinds": {"gates": Flag()},
    }
    return [
        EncoderSpec(
            name="nordic_regnet_400mf",
            options={"depth_of_trunk": 16, "w_0": 48, "w_a": 27.89, "w_m": 2.09, "group_width": 8},
            out_channels=(3, 32, 48, 104, 208, 440),
            num_parameters=3903144,
            **shared,
        ),
        EncoderSpec(
            name="nordic_regnet_mini",
            options={"depth_of_trunk": 5, "w_0": 16, "w_a": 24, "w_m": 2.0, "group_width": 8},
            out_channels=(3, 32, 16, 32, 64, 128),
            num_parameters=85636,
            **shared,
        ),
    ]
