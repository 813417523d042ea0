"""Published state dicts of both spellings load strictly, at every depth, alone and inside a whole model."""

import re

import pytest
import torch
from torch import nn

import smp_core
from smp_densenet.checkpoint import current_keys
from smp_densenet.encoder import DenseNetEncoder


def encoder(depth=5):
    return DenseNetEncoder((1, 2, 1, 2), growth=4, stem=8, depth=depth).eval()


def old_keys(state_dict):
    """Spelled as in files of torchvision's before 2018, which have a classifier and do not count batches."""
    spelled = {
        re.sub(r"(denselayer\d+\.\w+?)([12])\.", r"\1.\2.", key): value
        for key, value in state_dict.items()
        if not key.endswith("num_batches_tracked")
    }
    assert "features.denseblock2.denselayer2.norm.1.running_mean" in spelled
    assert "features.denseblock2.denselayer2.conv.2.weight" in spelled
    return {**spelled, "classifier.weight": torch.zeros(10, 8), "classifier.bias": torch.zeros(10)}


@pytest.mark.parametrize("spell", [dict, old_keys], ids=["present", "old"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_both_spellings_load(depth, spell):
    full, module = encoder(), encoder(depth)
    state_dict = spell(full.state_dict())
    given = list(state_dict)
    module.load_state_dict(state_dict)
    assert list(state_dict) == given
    x = torch.randn(1, 3, 64, 64)
    for ours, theirs in zip(module(x), full(x), strict=False):
        torch.testing.assert_close(ours, theirs)


def test_inside_a_model():
    model = nn.ModuleDict({"encoder": encoder(), "head": nn.Conv2d(1, 1, 1)})
    state_dict = {f"encoder.{key}": value for key, value in old_keys(encoder().state_dict()).items()}
    state_dict.update({f"head.{key}": value for key, value in model["head"].state_dict().items()})
    model.load_state_dict(state_dict)
    key = "features.denseblock1.denselayer1.conv1.weight"
    torch.testing.assert_close(
        model["encoder"].state_dict()[key], state_dict["encoder." + re.sub("conv1", "conv.1", key)]
    )


def test_a_file_of_the_old_spelling(tmp_path):
    trained = smp_core.create_encoder("densenet121", depth=2, weights=None)
    torch.save(old_keys_of_two_blocks(trained), tmp_path / "densenet121.pth")
    loaded = smp_core.create_encoder("densenet121", depth=2, in_channels=1, weights=tmp_path / "densenet121.pth")
    summed = trained.features.conv0.weight.sum(dim=1, keepdim=True)
    torch.testing.assert_close(loaded.features.conv0.weight, summed)
    torch.testing.assert_close(loaded.features.transition1.norm.weight, trained.features.transition1.norm.weight)


def old_keys_of_two_blocks(module):
    return {
        re.sub(r"(denselayer\d+\.\w+?)([12])\.", r"\1.\2.", key): value for key, value in module.state_dict().items()
    }


def test_present_keys_stay():
    state_dict = encoder().state_dict()
    assert current_keys(state_dict) == dict(state_dict)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": (1, 2, 1)}, "each of 4 blocks"),
        ({"output_stride": 16}, "output_stride must be 32"),
        ({"depth": 6}, r"depth must be in 1\.\.5"),
    ],
    ids=str,
)
def test_errors_say_what_is_right(arguments, message):
    with pytest.raises(smp_core.errors.OptionError, match=message):
        DenseNetEncoder(**{"layers": (1, 2, 1, 2), "growth": 4, "stem": 8, **arguments})
