"""Small models of every kind: those that the fast tests build."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

# What each is there for.
PYRAMIDS = {
    "test_resnet": "any size, can be dilated",
    "test_byobnet": "of a class that is told its stages",
    "test_efficientnet": "timm builds all its stages, whatever is asked of it",
    "test_nfnet": "convolutions with standardised weights",
    "test_convnext": "no 1/2; padded to multiples",
    "test_mambaout": "features with the channels last",
    "test_maxvit": "windows: padded to multiples of its own size",
    "test_coatnet": "fixed: relative positions of one size",
    "dla46_c": "the first feature of timm's is left out",
    "ghostnetv3_050": "a least size",
    "crossvit_tiny_240": "reductions 12 and 17; resampled",
    "pit_ti_224": "fixed; 8, 16, 32",
    "efficientvit_m0": "16, 32, 64",
    "sequencer2d_s": "reductions 7, 14, 14: the last of equal ones",
    "csatv2": "takes 3 channels alone",
    "sedarknet21": "a full-resolution stage",
    "swin_tiny_patch4_window7_224": "channels last, freed from its size by timm",
}
TRANSFORMERS = {
    "test_vit": "a class token",
    "test_vit2": "registers that are cut off together with the class token",
    "test_vit3": "its classifier is another one",
    "test_vit4": "norms of its own",
    "test_vit_relpos": "fixed, no prefix tokens",
    "xcit_nano_12_p16_224": "no prefix tokens, any size",
    "gmlp_ti16_224": "no transformer, fixed",
    "deit_tiny_distilled_patch16_224": "two prefix tokens",
    "vit_tiny_patch16_dinov3_qkvb": "five prefix tokens, rotary positions",
    "eva02_tiny_patch14_224": "patches of 14",
    "vit_tiny_r_s16_p8_224": "a convolutional stem; patches of 32",
}
EVERY = (*PYRAMIDS, *TRANSFORMERS)

# Of these a second or more each: in the sweeps alone.
_LONG = (
    *("ghostnetv3_050", "crossvit_tiny_240", "sequencer2d_s", "csatv2", "swin_tiny_patch4_window7_224"),
    *("gmlp_ti16_224", "xcit_nano_12_p16_224", "vit_tiny_r_s16_p8_224"),
)


def long_ones_slow(names: Iterable[str]) -> list[Any]:
    """As parameters of a test: those that take long are marked."""
    return [pytest.param(name, marks=pytest.mark.slow if name in _LONG else ()) for name in names]


# The tiny ones, for what takes long.
TINY_PYRAMIDS = ("test_resnet", "test_efficientnet", "test_convnext", "test_mambaout", "test_maxvit", "test_coatnet")
TINY_TRANSFORMERS = ("test_vit", "test_vit3", "test_vit_relpos")
