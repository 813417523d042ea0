"""The encoder of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="mobilenet_v2",
            target="smp_mobilenet.encoder:MobileNetV2Encoder",
            out_channels=(3, 16, 24, 32, 96, 1280),
            reductions=(1, 2, 4, 8, 16, 32),
            weights={
                "imagenet": WeightsSpec(
                    repo_id="smp-hub/mobilenet_v2.imagenet",
                    revision="e67aa804e17f7b404b629127eabbd224c4e0690b",
                    license="BSD-3-Clause",  # torchvision's
                )
            },
            default_weights="imagenet",
            dilation=(8, 16),
            license="MIT",
            paper="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381",
            summary="MobileNetV2, 17 inverted residual blocks",
            num_parameters=2_223_872,
        )
    ]
