from smp_core.plugin import ConformanceSpec, EncoderSpec, hookimpl

REASON = "its blocks are one"
STAGES = "stages_name_every_parameter_once"


def encoder(name, kind, **changes):
    fields = {
        "target": f"acme_wrong.encoders:{kind}",
        "out_channels": (3, 8, 12, 16, 20, 24),
        "reductions": (1, 2, 4, 8, 16, 32),
    }
    return EncoderSpec(**{"name": name, **fields, **changes})


@hookimpl
def smp_encoders():
    return [
        encoder("Declared", "NamesNoStages"),
        encoder("Undeclared", "NamesNoStages"),
        encoder("DeclaredInVain", "Right"),
        encoder("Right", "Right"),
    ]


@hookimpl
def smp_conformance():
    return ConformanceSpec(
        expected_failures={
            "Declared": {STAGES: REASON},
            "DeclaredInVain": {STAGES: REASON},
            "Rihgt": {STAGES: REASON},
            "Right": {"stages_are_named": REASON},
        }
    )
