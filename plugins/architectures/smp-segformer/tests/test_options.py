"""Wrong values of options: an error that names the right ones."""

import pytest

from smp_core.errors import OptionError
from smp_segformer.model import Segformer
from smp_testing.encoders import PYRAMID


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder_segmentation_channels": 0}, "decoder_segmentation_channels must be an int of at least 1"),
        ({"decoder_segmentation_channels": "64"}, "decoder_segmentation_channels must be an int of at least 1"),
        ({"upsampling": 0}, "upsampling must be at least 1"),
        ({"aux_params": {"class": 3}}, "expected 'classes'"),
    ],
    ids=str,
)
def test_wrong_values_name_the_right_ones(options, message):
    with pytest.raises(OptionError, match=message):
        Segformer(PYRAMID.build(depth=5), **options)
