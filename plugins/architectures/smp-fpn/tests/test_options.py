"""Wrong values of options: an error that names the right ones."""

import pytest

from smp_core.errors import OptionError
from smp_fpn.model import FPN
from smp_testing.encoders import PYRAMID


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder_merge_policy": "mean"}, "expected one of add, cat"),
        ({"decoder_segmentation_channels": 100}, "multiple of 32"),
        ({"decoder_pyramid_channels": 0}, "at least 1"),
        ({"decoder_dropout": 2.0}, "between 0 and 1"),
        ({"decoder_interpolation": "cubic"}, "nearest, bilinear, bicubic"),
        ({"upsampling": 0}, "at least 1"),
    ],
    ids=str,
)
def test_wrong_values_name_the_right_ones(options, message):
    with pytest.raises(OptionError, match=message):
        FPN(PYRAMID.build(depth=5), **options)
