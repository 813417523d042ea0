from acme_declares.plugin import encoder

from smp_core.plugin import ArchitectureSpec, ConformanceSpec, EncoderSpec, NeckSpec, Number, OneOf, hookimpl

# TorchScript does not follow super().forward.
SCRIPTABLE = (
    "SharesLayer",
    "IgnoresDepth",
    "IsBuiltInEvaluation",
    "FreezesStem",
    "LearnsNothing",
    "FailsAtLowerDepth",
    "FailsAtFirstDepth",
    "HasNoGradient",
)
ENCODERS = (
    *("DropsInEvaluation", "AddsNoise", "ForgetsFirstCall", "CountsModels", "SharesScale", "FlipsFeature"),
    *("FlipsDeepest", "TransposesSquares", "RollsFeature", "HoldsLayersInList", "HoldsLayersInDict", "DrawsBuffer"),
    *SCRIPTABLE,
)
OF_PROCESS = (
    *("HooksEveryModule", "ReplacesFunction", "CoversMethod", "IgnoresInterrupts", "LeavesThreads", "Forks"),
    *("CollectsNoGarbage", "SeedsNumpy", "SeedsPython", "SeedsInForward", "ExitsInForward", "StopsInForward"),
)
TOKENS = ("ScramblesTokens", "TurnsTokens")


def tokens(target):
    return EncoderSpec(
        name=target,
        target=f"acme_further.encoders:{target}",
        out_channels=(32, 32, 32, 32),
        reductions=(16, 16, 16, 16),
        max_depth=4,
        tokens=True,
        scriptable=False,
    )


def with_option(name, target, option="slope", kind=None):
    return encoder(
        name,
        "Right",
        target=f"acme_further.encoders:{target}",
        user_options=(option,),
        option_kinds={option: kind} if kind else {},
    )


def of_process(target):
    scriptable = target not in ("ExitsInForward", "StopsInForward")
    return encoder(target, "Right", target=f"acme_further.process:{target}", scriptable=scriptable)


@hookimpl
def smp_encoders():
    return [
        *(
            encoder(target, "Right", target=f"acme_further.encoders:{target}", scriptable=target in SCRIPTABLE)
            for target in ENCODERS
        ),
        *map(of_process, OF_PROCESS),
        *map(tokens, TOKENS),
        with_option("TakesOption", "TakesOption", kind=Number()),
        with_option("IgnoresOption", "IgnoresOption"),
        with_option("IgnoresNumber", "IgnoresOption", kind=Number(most=0.1)),
        with_option("MisspellsOption", "TakesOption", option="slop"),
        with_option("DefaultIsOfNoKind", "TakesOption", kind=OneOf(names=("steep", "flat"))),
    ]


@hookimpl
def smp_architectures():
    return [
        ArchitectureSpec(
            name=f"{name}Model", class_name=f"{name}Model", target=f"acme_further.models:{name}", scriptable=False
        )
        for name in ("FlipsMasks", "AddsNoise")
    ]


@hookimpl
def smp_necks():
    return [
        NeckSpec(
            name=f"{name}Neck",
            target=f"acme_further.models:{name}",
            reductions=(4, 8, 16, 32),
            tokens=True,
            pyramid=True,
            scriptable=False,
        )
        for name in ("FlipsLevel", "DropsAlways")
    ]


@hookimpl
def smp_conformance():
    reason = "patches are cut by a layer that the tests do not replace"
    return ConformanceSpec(expected_failures={name: {"first_convolution_may_be_replaced": reason} for name in TOKENS})
