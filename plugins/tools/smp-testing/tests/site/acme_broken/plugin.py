from acme_declares.plugin import encoder

from smp_core.plugin import EncoderSpec, hookimpl


@hookimpl
def smp_encoders():
    right = encoder("Right", "Right")
    fields = {"out_channels": right.out_channels, "reductions": right.reductions}
    return [EncoderSpec(name="Absent", target="acme_broken.missing:Encoder", **fields)]
