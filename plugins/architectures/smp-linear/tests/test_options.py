"""Options of the linear probe: wrong values name the right ones, and which features there are to take."""

import pytest
import torch
from torch import nn

import smp_core
from smp_core.errors import OptionError
from smp_linear.model import Linear
from smp_testing.encoders import FULL_RESOLUTION, PATCHES, PYRAMID, TOKENS, TinyPyramid, TinyTransformer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder_features": 0}, "decoder_features must be an int of at least 1, got 0"),
        ({"decoder_features": 1.0}, "decoder_features must be an int of at least 1, got 1.0"),
        ({"decoder_dropout": 1.5}, "decoder_dropout must be a number between 0 and 1, got 1.5"),
        ({"activation": "relu"}, "unknown activation 'relu'"),
        ({"aux_params": {"class": 3}}, "expected 'classes'"),
    ],
    ids=str,
)
def test_wrong_values_name_the_right_ones(options, message):
    with pytest.raises(OptionError, match=message):
        Linear(PYRAMID.build(depth=3), **options)


@pytest.mark.parametrize(
    ("encoder", "available", "message"),
    [
        (PYRAMID.build(depth=5), 5, "is 6, but the encoder has 5 features beside the image itself"),
        (PATCHES.build(depth=5), 4, "is 5, but the encoder has 4 features beside the image itself"),
        (FULL_RESOLUTION.build(depth=5), 6, "is 7, but the encoder has 6 features$"),
        (PYRAMID.build(depth=1), 1, "is 2, but the encoder has 1 feature beside the image itself"),
        (TOKENS.build(depth=4), 4, "is 5, but the encoder has 4 features$"),
        (TinyTransformer(2, patch=1), 2, "is 3, but the encoder has 2 features$"),
        (TinyPyramid((1,)), 0, "is 1, but the encoder has 0 features beside the image itself"),
    ],
    ids=["pyramid", "patches", "full resolution", "shallow", "tokens", "tokens of one pixel", "the image alone"],
)
def test_no_more_features_than_there_are(encoder, available, message):
    if available:
        model = Linear(encoder, decoder_features=available, classes=2).eval()
        with torch.no_grad():
            assert model(torch.zeros(1, 3, 40, 33)).shape == (1, 2, 40, 33)
    with pytest.raises(OptionError, match=f"^decoder_features {message}"):
        Linear(encoder, decoder_features=available + 1)


def test_a_wrong_value_is_refused_by_name_as_well():
    with pytest.raises(OptionError, match="decoder_features is 6, but the encoder has 5 features"):
        smp_core.create("linear", "resnet18", encoder_weights=None, decoder_features=6)
    with pytest.raises(OptionError, match="has no option 'decoder_channels'; its options are decoder_features, deco"):
        smp_core.create("linear", "resnet18", encoder_weights=None, decoder_channels=(8,))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_that_is_new_is_a_norm_and_a_convolution(count):
    """One norm over the concatenated channels, deepest last; `decoder` tells its channels, as in every model."""
    encoder = PYRAMID.build(depth=5)
    channels = sum(encoder.out_channels[-count:])
    model = Linear(encoder, decoder_features=count, classes=4)
    assert model.decoder.out_channels == channels
    assert model.decoder.reduction == encoder.reductions[-count]
    shapes = {name: tuple(item.shape) for name, item in model.named_parameters() if not name.startswith("encoder.")}
    assert shapes == {
        "decoder.norm.weight": (channels,),
        "decoder.norm.bias": (channels,),
        "segmentation_head.0.weight": (4, channels, 1, 1),
        "segmentation_head.0.bias": (4,),
    }


def test_dropout_drops_whole_channels_in_training_alone():
    decoder = Linear(TOKENS.build(depth=2), decoder_features=2, decoder_dropout=0.5).decoder
    features = [torch.randn(2, 32, 3, 4) for _ in range(2)]
    torch.manual_seed(0)
    dropped = (decoder(features) == 0).flatten(2)
    assert torch.equal(dropped.all(dim=2), dropped.any(dim=2))
    assert 0.3 < dropped.float().mean() < 0.7
    assert not (decoder.eval()(features) == 0).any()
    assert isinstance(Linear(TOKENS.build(depth=1)).decoder.dropout, nn.Identity)
