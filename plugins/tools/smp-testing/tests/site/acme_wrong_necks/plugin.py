from smp_core.plugin import NeckSpec, hookimpl

NECKS = (
    *("Right", "TakesNoOutputStride", "SaysNoChannels", "ReturnsTuple", "LiesAboutChannels", "YieldsNan", "YieldsHalf"),
    *("RoundsDown", "KeepsPadding", "IgnoresOutputStride", "KeepsEveryLevel", "NamesLevelsByTheirNumber"),
)
# TorchScript does not follow super().forward.
SCRIPTABLE = (
    *("Right", "TakesNoOutputStride", "SaysNoChannels", "LiesAboutChannels", "IgnoresOutputStride"),
    "NamesLevelsByTheirNumber",
)


def neck(target, name=None, **changes):
    fields = {"reductions": (4, 8, 16, 32), "tokens": True, "pyramid": True, "scriptable": target in SCRIPTABLE}
    return NeckSpec(name=name or target, target=f"acme_wrong_necks.necks:{target}", **fields | changes)


@hookimpl
def smp_necks():
    return [*map(neck, NECKS), neck("Right", "SpecLiesAboutReductions", reductions=(4, 8, 16))]
