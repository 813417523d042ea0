from smp_core.plugin import ArchitectureSpec, EncoderSpec, WeightsSpec, hookimpl

ENCODERS = (
    *("Right", "Fetches", "SetsDefaultDtype", "SetsEnvironment", "HoldsRealTensors", "ReadsValues", "ReturnsTuple"),
    *("LiesAboutChannels", "ChangesInputFeature", "YieldsNan", "KeepsEveryStage", "CannotDilate", "TakesThreeChannels"),
    *("PadsTo64", "RefusesFullStateDict", "WritesIntoFeatures", "HidesFirstConvolution", "WritesIntoInput"),
    *("MixesBatch", "CountsBatch", "HasUnusedParameter", "HasNanGradient", "ForgetsTensor", "RenamesKeys"),
    *("EditsStateDict", "BranchesOnValues", "BranchesOnSizes", "CannotBeScripted", "ViewsInput"),
    *(
        "NamesNoStages",
        "LeavesOutParameter",
        "JoinsStages",
        "SwapsStages",
        "NamesTooEarly",
        "HasNoBlocks",
        "CallsLayers",
    ),
    *("RecomputesOtherwise", "CountsRuns"),
)
ARCHITECTURES = (
    *("Right", "KeepsPadding", "RefusesDepthFour", "UsesThreeChannels", "IgnoresHead"),
    *("IgnoresActivation", "IgnoresClasses", "StaysInEvaluation", "ForgetsTensor"),
)
NUM_PARAMETERS = 10_248
WEIGHTS = WeightsSpec(file="acme_wrong:right.safetensors", convert="acme_wrong.encoders:EncoderBase")


def encoder(target, name=None, **changes):
    fields = {
        "name": name or target,
        "target": f"acme_wrong.encoders:{target}",
        "out_channels": (3, 8, 12, 16, 20, 24),
        "reductions": (1, 2, 4, 8, 16, 32),
        "weights": {"right": WEIGHTS},
        "default_weights": "right",
        "dilation": (8, 16),
        "num_parameters": NUM_PARAMETERS,
    }
    return EncoderSpec(**fields | changes)


def tokens(target):
    return EncoderSpec(
        name=target,
        target=f"acme_wrong.encoders:{target}",
        out_channels=(32, 32, 32, 32),
        reductions=(16, 16, 16, 16),
        max_depth=4,
        tokens=True,
        scriptable=False,
    )


@hookimpl
def smp_encoders():
    converter = WeightsSpec(file="acme_wrong:right.safetensors", convert="acme_wrong.encoders:missing")
    return [
        *map(encoder, ENCODERS),
        encoder("Right", "SpecLiesAboutChannels", out_channels=(3, 8, 12, 16, 20, 25)),
        encoder("Right", "SpecMiscounts", num_parameters=12_345),
        encoder("Right", "SpecNamesNoConverter", weights={"right": converter}),
        encoder("Right", "SpecDeniesScript", scriptable=False),
        encoder("Right", "SpecIsBare", num_parameters=None, dilation=(), weights={}, default_weights=None),
        *map(tokens, ("Tokens", "SwapsBlocks", "JoinsBlocks")),
    ]


def architecture(target, name=None, **changes):
    name = name or f"{target}Model"
    return ArchitectureSpec(name=name, class_name=name, target=f"acme_wrong.architectures:{target}", **changes)


@hookimpl
def smp_architectures():
    return [
        *map(architecture, ARCHITECTURES),
        architecture("UpsamplesByEight", dilation=(8, 16)),
        architecture("Right", "DilatedModel", dilation=(16, 8, 32)),
        architecture("Tokens", tokens=True, pyramid=False, default_depth=4, min_depth=4, max_depth=4),
    ]
