from acme_declares.plugin import encoder

from smp_core.plugin import ArchitectureSpec, ConformanceSpec, EncoderSpec, NeckSpec, WeightsSpec, hookimpl

# TorchScript does not follow super().forward, nor lambdas.
SCRIPTABLE = ("TakesStridesAway", "NamesWrongConvolution", "NormalisesByBatch", "CallsFunctions")
PYRAMIDS = (
    *("KeepsLooseTensor", "YieldsTooMany", "ReversesPyramid", "YieldsDict", "YieldsHalf", "CannotRun", "CannotBeBuilt"),
    *("AddsFirstImage", "DropsSecondChannel", "NeedsWholePatches", "HoldsWeightTwice", "PicklesNot"),
    *("AddsFloat32", "CutsTheImageOff", "AddsOneDtypeToAnother", *SCRIPTABLE),
)
TOKENS = ("TakesNoIndices", "YieldsTokensAlone", "ForgetsTokensOfSome")
ARCHITECTURES = (
    *("HasUnusedLayer", "KeepsFeatures", "CountsCalls", "RoundsToFloat32", "WritesIntoImage", "MixesBatch"),
    *("DividesByContrast", "SeedsItself", "ReturnsList"),
)
NECKS = ("KeepsLevels", "MixesBatch", "RoundsToFloat32")


def pyramid(target):
    weights = {"weights": {"set": WeightsSpec(repo_id="acme/right")}, "default_weights": "set"}
    changes = {"dilation": (8, 16)} if target == "TakesStridesAway" else {}
    changes |= weights if target == "NamesWrongConvolution" else {}
    changes["scriptable"] = target in SCRIPTABLE
    return encoder(target, "Right", target=f"acme_mutants.encoders:{target}", **changes)


def tokens(target):
    return EncoderSpec(
        name=target,
        target=f"acme_mutants.encoders:{target}",
        out_channels=(32, 32, 32, 32),
        reductions=(16, 16, 16, 16),
        max_depth=4,
        tokens=True,
        scriptable=False,
    )


@hookimpl
def smp_encoders():
    bare = EncoderSpec(
        name="SaysNothingOfStages",
        target="acme_mutants.encoders:SaysNothingOfStages",
        out_channels=(3, 8),
        reductions=(1, 2),
        max_depth=1,
    )
    return [*map(pyramid, PYRAMIDS), *map(tokens, TOKENS), bare]


@hookimpl
def smp_architectures():
    return [
        ArchitectureSpec(
            name=f"{name}Model",
            class_name=f"{name}Model",
            target=f"acme_mutants.architectures:{name}",
            scriptable=name in ("HasUnusedLayer", "SeedsItself"),
        )
        for name in ARCHITECTURES
    ]


@hookimpl
def smp_necks():
    return [
        NeckSpec(
            name=f"{name}Neck",
            target=f"acme_mutants.necks:{name}",
            reductions=(4, 8, 16, 32),
            tokens=True,
            pyramid=True,
            scriptable=False,
        )
        for name in NECKS
    ]


@hookimpl
def smp_conformance():
    reason = "patches are cut by a layer that the tests do not replace"
    return ConformanceSpec(expected_failures={name: {"first_convolution_may_be_replaced": reason} for name in TOKENS})
