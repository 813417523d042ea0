from smp_core.plugin import NeckSpec, hookimpl

NECKS = (
    *("Right", "TakesNoOutputStride", "SaysNoChannels", "ReturnsTuple", "LiesAboutChannels", "YieldsNan", "YieldsHalf"),
    *("RoundsDown", "KeepsPadding", "IgnoresOutputStride", "KeepsEveryLevel", "NamesLevelsByTheirNumber"),
)


def neck(target, name=None, **changes):
    fields = {"reductions": (4, 8, 16, 32), "tokens": True, "pyramid": True}
    return NeckSpec(name=name or target, target=f"acme_wrong_necks.necks:{target}", **fields | changes)


@hookimpl
def smp_necks():
    return [*map(neck, NECKS), neck("Right", "SpecLiesAboutReductions", reductions=(4, 8, 16))]
