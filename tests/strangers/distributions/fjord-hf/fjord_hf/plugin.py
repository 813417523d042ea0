from smp_core.plugin import ConformanceSpec, EncoderSpec, hookimpl


@hookimpl
def smp_encoders():
    yield EncoderSpec(
        name="fjord_convnextv2",
        target="fjord_hf.pyramid:ConvNeXtV2",
        out_channels=(3, 8, 16, 24, 32),
        reductions=(1, 4, 8, 16, 32),
        min_depth=2,
        scriptable=False,
        license="Apache-2.0",
        paper="Woo et al., ConvNeXt V2, arXiv:2301.00808",
    )
    yield EncoderSpec(
        name="fjord_dinov2",
        target="fjord_hf.tokens:Dinov2",
        out_channels=(24,) * 4,
        reductions=(16,) * 4,
        tokens=True,
        max_depth=4,
        scriptable=False,
        license="Apache-2.0",
        paper="Oquab et al., DINOv2, arXiv:2304.07193",
    )


@hookimpl
def smp_conformance():
    reason = {"stages_name_every_parameter_once": "transformers gives the layers of a backbone other names by model"}
    return ConformanceSpec(expected_failures={"fjord_convnextv2": reason, "fjord_dinov2": reason})
