from smp_core.plugin import ConformanceSpec, EncoderSpec, hookimpl

PYRAMIDS = (
    *("CountsImages", "CountsInSecret", "KeepsInput", "KeepsFeatures", "Standardises", "TakesRoots", "RoundsToFloat32"),
    *("RoundsDeepFeature", "MakesTensorsOnTheCpu", "ReturnsTensorsOfTheCpu", "SetsSeed", "DropsFurtherChannels"),
)
TOKENS = (
    *("MiscountsPrefixTokens", "IgnoresIndices", "ReversesFeatures", "CountsFromOne"),
    *("IgnoresTheSign", "TakesAnyIndex", "RaisesIndexError"),
)


def pyramid(target):
    return EncoderSpec(
        name=target,
        target=f"acme_hidden.encoders:{target}",
        out_channels=(3, 8, 12, 16, 20, 24),
        reductions=(1, 2, 4, 8, 16, 32),
        scriptable=target == "SetsSeed",
    )


def tokens(target):
    return EncoderSpec(
        name=target,
        target=f"acme_hidden.encoders:{target}",
        out_channels=(32, 32, 32, 32),
        reductions=(16, 16, 16, 16),
        max_depth=4,
        tokens=True,
        scriptable=False,
    )


@hookimpl
def smp_encoders():
    return [*map(pyramid, PYRAMIDS), *map(tokens, TOKENS)]


@hookimpl
def smp_conformance():
    reason = "patches are cut by a layer that the tests do not replace"
    return ConformanceSpec(expected_failures={name: {"first_convolution_may_be_replaced": reason} for name in TOKENS})
