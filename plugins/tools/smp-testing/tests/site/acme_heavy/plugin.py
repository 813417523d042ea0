import torch  # noqa: F401

from smp_core.plugin import EncoderSpec, hookimpl


@hookimpl
def smp_encoders():
    return [
        EncoderSpec(
            name="heavy", target="acme_heavy.encoder:Heavy", out_channels=(3, 8), reductions=(1, 2), max_depth=1
        )
    ]
