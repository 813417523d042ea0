from smp_core.plugin import ArchitectureSpec, ConformanceSpec, EncoderSpec, WeightsSpec, hookimpl

ENCODERS = (
    *("Right", "Fetches", "SetsDefaultDtype", "SetsEnvironment", "HoldsRealTensors", "ReadsValues", "ReturnsTuple"),
    *("LiesAboutChannels", "ChangesInputFeature", "YieldsNan", "KeepsEveryStage", "CannotDilate", "TakesThreeChannels"),
    *("PadsTo64", "RefusesFullStateDict", "ScalesByDepth", "HidesFirstConvolution", "WritesIntoInput"),
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
    *("IgnoresActivation", "IgnoresClasses", "StaysInEvaluation"),
)
NUM_PARAMETERS = 10_248
WEIGHTS = WeightsSpec(repo_id="acme/right", convert="acme_wrong.encoders:convert")
# TorchScript does not follow super().forward.
SCRIPTABLE = (
    *("Right", "Fetches", "SetsDefaultDtype", "HoldsRealTensors", "ReadsValues", "CannotDilate", "TakesThreeChannels"),
    *("KeepsEveryStage", "RefusesFullStateDict", "HidesFirstConvolution", "HasUnusedParameter", "RenamesKeys"),
    *("EditsStateDict", "CannotBeScripted", "NamesNoStages", "JoinsStages", "SwapsStages", "NamesTooEarly"),
    *("HasNoBlocks", "CallsLayers", "BranchesOnSizes", "CountsBatch", "ScalesByDepth"),
)
MORE_PARAMETERS = {"HasUnusedParameter": 3, "HasNanGradient": 1, "LeavesOutParameter": 1}


def encoder(target, name=None, **changes):
    fields = {
        "name": name or target,
        "target": f"acme_wrong.encoders:{target}",
        "out_channels": (3, 8, 12, 16, 20, 24),
        "reductions": (1, 2, 4, 8, 16, 32),
        "weights": {"right": WEIGHTS},
        "default_weights": "right",
        "dilation": (8, 16),
        "num_parameters": NUM_PARAMETERS + MORE_PARAMETERS.get(target, 0),
        "scriptable": target in SCRIPTABLE,
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
    converter = WeightsSpec(repo_id="acme/right", convert="acme_wrong.encoders:missing")
    return [
        *map(encoder, ENCODERS),
        encoder("Right", "SpecLiesAboutChannels", out_channels=(3, 8, 12, 16, 20, 25)),
        encoder("Right", "SpecMiscounts", num_parameters=12_345),
        encoder("Right", "SpecNamesNoConverter", weights={"right": converter}),
        encoder("Right", "SpecDeniesScript", scriptable=False),
        encoder("Right", "SpecIsBare", num_parameters=None, dilation=(), weights={}, default_weights=None),
        *map(tokens, ("Tokens", "SwapsBlocks", "JoinsBlocks")),
    ]


@hookimpl
def smp_conformance():
    reason = "patches are cut by a layer that the tests do not replace"
    tokens = ("Tokens", "SwapsBlocks", "JoinsBlocks")
    return ConformanceSpec(
        expected_failures={
            **{name: {"first_convolution_may_be_replaced": reason} for name in tokens},
        }
    )


def architecture(target, name=None, **changes):
    name = name or f"{target}Model"
    return ArchitectureSpec(name=name, class_name=name, target=f"acme_wrong.architectures:{target}", **changes)


@hookimpl
def smp_architectures():
    return [
        *map(architecture, ARCHITECTURES),
        architecture("ForgetsTensor", scriptable=False),
        architecture("UpsamplesByEight", dilation=(8, 16), scriptable=False),
        architecture("Right", "DilatedModel", dilation=(16, 8, 32)),
        architecture("Tokens", tokens=True, pyramid=False, default_depth=4, min_depth=4, max_depth=4),
    ]
