"""Any image size from one pixel on."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import smp_core
from smp_core.errors import OptionError

sizes = st.integers(1, 97)
modes = st.sampled_from(("nearest", "bilinear", "area"))


def build(mode):
    torch.manual_seed(0)
    pytest.importorskip("smp_resnet")
    options = {"encoder_depth": 4, "decoder_channels": (16, 16, 8, 8), "decoder_interpolation": mode}
    return smp_core.create("unet", "resnet18", encoder_weights=None, classes=2, **options).eval()


MODELS = {}


@settings(derandomize=True, max_examples=60, deadline=None)
@given(height=sizes, width=sizes, mode=modes)
def test_the_mask_has_the_size_of_the_image(height, width, mode):
    model = MODELS.setdefault(mode, build(mode))
    mask = model.predict(torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0)))
    assert mask.shape == (1, 2, height, width)
    assert mask.isfinite().all()


def test_an_encoder_without_the_input_among_its_features():
    class Patches(torch.nn.Module):
        out_channels, reductions, in_channels = (8, 12), (4, 8), 3

        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Conv2d(3, 8, 4, 4), torch.nn.Conv2d(8, 12, 2, 2)

        def forward(self, x):
            x = self.first(x)
            return [x, self.second(x)]

    model = smp_core.create("unet", Patches(), decoder_channels=(16, 8, 8))
    for size in ((1, 1), (8, 16), (17, 30)):
        assert model.predict(torch.zeros(2, 3, *size)).shape == (2, 1, *size)


def test_a_full_resolution_stage_gets_a_centre_block():
    class Stages(torch.nn.Module):
        out_channels, reductions, in_channels, full_resolution = (8, 12, 16), (1, 2, 4), 3, True

        def __init__(self):
            super().__init__()
            channels = (3, *self.out_channels)
            self.stages = torch.nn.ModuleList(torch.nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(channels))

        def forward(self, x):
            features = []
            for number, stage in enumerate(self.stages):
                x = stage(torch.nn.functional.max_pool2d(x, 2) if number else x)
                features.append(x)
            return features

    model = smp_core.create("unet", Stages(), decoder_channels=(16, 8))
    assert "decoder.center.0.0.weight" in model.state_dict()
    # Floor pooling: 11 -> 5 -> 2, which no twofold upsampling brings back to 5.
    assert model.predict(torch.zeros(2, 3, 11, 16)).shape == (2, 1, 11, 16)


def test_decoder_channels_must_match_the_depth():
    message = r"decoder_channels has 2 entries, but an encoder of reduction 32 takes 5 blocks"
    with pytest.raises(OptionError, match=message):
        smp_core.create("unet", "resnet18", encoder_weights=None, decoder_channels=(16, 8))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"decoder_interpolation": "linear"},
            "unknown decoder_interpolation 'linear'; expected one of nearest, bilinear",
        ),
        ({"decoder_attention_type": "cbam"}, "unknown decoder_attention_type 'cbam'; expected None or one of scse"),
        ({"decoder_use_norm": "group"}, "unknown norm 'group'; expected True, False, a dict, or one of batchnorm"),
        ({"activation": "relu6"}, "unknown activation 'relu6'; expected None, a callable, or one of identity"),
        ({"decoder_chanels": (1,)}, r"has no option 'decoder_chanels'; its options are decoder_use_norm"),
    ],
    ids=str,
)
def test_wrong_options_list_the_right_ones(option, message):
    with pytest.raises(OptionError, match=message):
        smp_core.create("unet", "resnet18", encoder_weights=None, **option)
