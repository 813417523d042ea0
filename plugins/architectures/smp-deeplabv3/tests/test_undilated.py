"""An encoder that says to be dilated and is not gets an error, and no small mask."""

import pytest
import torch

import smp_core
from smp_core.errors import EncoderProtocolError
from smp_testing.encoders import TinyPyramid


class SaysSo(TinyPyramid):
    """Its reductions are those of output stride 8, its strides are kept."""

    def __init__(self):
        super().__init__((1, 2, 4, 8, 16, 32))
        self.reductions = (1, 2, 4, 8, 8, 8)


@pytest.mark.parametrize("name", ["deeplabv3", "deeplabv3plus"])
def test_an_encoder_that_keeps_its_strides_is_named(name):
    model = smp_core.create(name, SaysSo(), decoder_channels=16, decoder_atrous_rates=(1, 2, 3)).eval()
    message = (
        r"^SaysSo says that its deepest feature is at output stride 8, and that of an image of 64 x 96 is 2 x 3; "
        r"expected about 8 x 12: an encoder whose spec names output strides \(dilation\)"
    )
    with pytest.raises(EncoderProtocolError, match=message):
        model(torch.zeros(1, 3, 64, 96))


@pytest.mark.parametrize("size", [(64, 96), (63, 41), (8, 1), (1, 1)])
def test_an_encoder_that_dilates_takes_any_size(size):
    encoder = TinyPyramid((1, 2, 4, 8, 16, 32), output_stride=8)
    model = smp_core.create("deeplabv3", encoder, decoder_channels=16, decoder_atrous_rates=(1, 2, 3)).eval()
    assert model(torch.zeros(1, 3, *size)).shape == (1, 1, *size)
