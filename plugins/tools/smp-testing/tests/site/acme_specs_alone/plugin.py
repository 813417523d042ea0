from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl


@hookimpl
def smp_encoders():
    return [
        EncoderSpec(
            name="ours_for_clouds",
            target="acme_wrong.encoders:Right",
            out_channels=(3, 8, 12, 16, 20, 24),
            reductions=(1, 2, 4, 8, 16, 32),
            weights={"clouds": WeightsSpec(file="acme_files:right.safetensors", license="CC-BY-4.0")},
            default_weights="clouds",
            dilation=(8, 16),
            license="MIT",
        )
    ]
