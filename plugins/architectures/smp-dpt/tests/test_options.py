"""Options of DPT: wrong values name the right ones; patches of every size; defaults that follow the depth."""

import pytest
import torch

from smp_core.errors import OptionError
from smp_dpt.model import DPT
from smp_testing.encoders import TOKENS, TinyTransformer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder_readout": "mean"}, "expected one of ignore, add, cat"),
        ({"decoder_intermediate_channels": (8, 8)}, "has 2 entries, but the encoder has 4 features"),
        ({"decoder_intermediate_channels": (8, 8, 0, 8)}, r"decoder_intermediate_channels\[2\] must be an int"),
        ({"decoder_fusion_channels": 0}, "decoder_fusion_channels must be an int of at least 1"),
        ({"aux_params": {"class": 3}}, "expected 'classes'"),
    ],
    ids=str,
)
def test_wrong_values_name_the_right_ones(options, message):
    with pytest.raises(OptionError, match=message):
        DPT(TOKENS.build(depth=4), **options)


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_the_default_channels_follow_the_depth(depth):
    blocks = DPT(TOKENS.build(depth=depth), decoder_fusion_channels=8).decoder.reassemble_blocks
    expected = [256, 512, 1024, 1024, 1024][:depth]
    assert [block.project_to_out_channel.out_channels for block in blocks] == expected


@pytest.mark.parametrize("patch", [1, 2, 4, 7, 8, 12, 14, 16, 20, 32])
def test_patches_of_every_size(patch):
    options = {"decoder_intermediate_channels": (8, 8, 8, 8), "decoder_fusion_channels": 8}
    model = DPT(TinyTransformer(4, patch=patch), **options).eval()
    for size in ((70, 84), (33, 20), (1, 1)):
        with torch.no_grad():
            assert model(torch.zeros(1, 3, *size)).shape == (1, 1, *size)


def test_a_prefix_token_counts_where_it_is_read():
    model = {}
    for readout in ("ignore", "add", "cat"):
        torch.manual_seed(0)
        model[readout] = DPT(
            TOKENS.build(depth=2),
            decoder_readout=readout,
            decoder_intermediate_channels=(8, 8),
            decoder_fusion_channels=8,
        ).eval()
    features = [torch.randn(2, 32, 3, 4) for _ in range(2)]
    for readout, changes in (("ignore", False), ("add", True), ("cat", True)):
        decoder = model[readout].decoder
        with torch.no_grad():
            first = decoder(features, [torch.zeros(2, 1, 32)] * 2)
            second = decoder(features, [torch.ones(2, 1, 32)] * 2)
        assert bool((first != second).any()) is changes
