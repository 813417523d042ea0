"""What the family has of its own."""

import pytest
import torch
from torch import nn

from smp_core.errors import OptionError
from smp_senet.encoder import Pool, SENetEncoder


def test_an_unknown_model_is_named_beside_the_right_ones():
    with pytest.raises(OptionError, match=r"'seresnet50'; expected one of legacy_senet154, legacy_seresnet50"):
        SENetEncoder("seresnet50")


@pytest.mark.parametrize("size", [(2, 2), (3, 8), (17, 33), (16, 9)], ids=str)
def test_the_pool_rounds_down_in_both_its_forms(size):
    x = torch.rand(2, 3, *size)
    expected = nn.MaxPool2d(3, stride=2, ceil_mode=True)(x)
    assert torch.equal(Pool()(x), expected)
    assert torch.equal(torch.jit.trace(Pool(), x)(x), expected)


def test_the_pool_keeps_a_single_pixel():
    x = torch.rand(1, 3, 1, 4)
    assert torch.equal(Pool()(x), nn.MaxPool2d((1, 3), stride=2, ceil_mode=True)(x))
