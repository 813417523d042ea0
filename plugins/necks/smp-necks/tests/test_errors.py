"""What a neck cannot be built from: an error that says what came, what was expected, and what to do."""

import re

import pytest

from smp_core.errors import OptionError
from smp_necks.regrid import Regrid
from smp_necks.resize_pyramid import ResizePyramid
from smp_necks.simple_pyramid import SimplePyramid

NECKS = {"simple_pyramid": SimplePyramid, "resize_pyramid": ResizePyramid, "regrid": Regrid}
EACH = pytest.mark.parametrize("name", NECKS)


def refused(name, message, **arguments):
    given = {"out_channels": (8, 8), "reductions": (16, 16), "tokens": name != "regrid"}
    with pytest.raises(OptionError, match=f"^{re.escape(message)}"):
        NECKS[name](**{**given, **arguments})


@EACH
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"out_channels": (), "reductions": ()},
            "expected one of out_channels and one of reductions for each feature, and a feature at least; got "
            "out_channels () and reductions (); give those of the built encoder",
        ),
        (
            {"out_channels": (8,)},
            "expected one of out_channels and one of reductions for each feature, and a feature at least; got "
            "out_channels (8,) and reductions (16, 16)",
        ),
        ({"out_channels": 8}, "out_channels must be a tuple of ints, one a feature, got 8"),
        ({"reductions": "16"}, "reductions must be a tuple of ints, one a feature, got '16'"),
        ({"out_channels": (8, 0)}, "each of out_channels must be an int of at least 1, got 0"),
        ({"reductions": (16, 16.0)}, "each of reductions must be an int of at least 1, got 16.0"),
        ({"reductions": (16, True)}, "each of reductions must be an int of at least 1, got True"),
        (
            {"reductions": (16, 8)},
            "reductions must increase, got (16, 8); give the features in the encoder's order, the highest resolution "
            "first",
        ),
        ({"output_stride": 12}, "output_stride must be None or one of 4, 8, 16, 32, got 12"),
    ],
    ids=str,
)
def test_no_features(name, arguments, message):
    refused(name, f"{name}: {message}", **arguments)


@pytest.mark.parametrize("name", ["simple_pyramid", "resize_pyramid"])
def test_no_transformer(name):
    refused(
        name,
        f"{name} takes the features of a plain transformer (tokens=True), got tokens=False with reductions (8, 16); "
        "for a feature pyramid use 'regrid'",
        tokens=False,
        reductions=(8, 16),
    )
    refused(
        name,
        f"{name} takes features all of one reduction, as a plain transformer yields them, got reductions (8, 16); for "
        "a feature pyramid use 'regrid'",
        reductions=(8, 16),
    )


def test_no_pyramid():
    refused(
        "regrid",
        "regrid takes a feature pyramid (tokens=False), got tokens=True with reductions (16, 16); for the features of "
        "a plain transformer use 'simple_pyramid' or 'resize_pyramid'",
        tokens=True,
    )
    refused(
        "regrid",
        "regrid makes its levels from features of a reduction of 2 or more, got only (1, 1); give it a deeper encoder",
        reductions=(1, 1),
    )


@pytest.mark.parametrize("channels", [0, -1, 2.5, "256", None, True])
def test_channels(channels):
    message = f"simple_pyramid: channels must be an int of at least 1, got {channels!r}"
    refused("simple_pyramid", message, channels=channels)


@EACH
def test_an_unknown_option_is_not_swallowed(name):
    given = {"out_channels": (8, 8), "reductions": (16, 16), "tokens": name != "regrid"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
        NECKS[name](**given, depth=3)


@EACH
def test_lists_and_numbers_of_other_kinds_are_taken(name):
    numpy = pytest.importorskip("numpy")
    given = {"out_channels": [8, numpy.int64(8)], "reductions": [numpy.int32(16), 16], "tokens": name != "regrid"}
    neck = NECKS[name](**given)
    assert all(type(item) is int for item in (*neck.out_channels, *neck.reductions))
