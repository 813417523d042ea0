"""Options that a VGG cannot take, and the keys that it leaves out."""

import warnings

import pytest
import torch

import smp_core
from smp_vgg.encoder import VGGEncoder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": (1, 1)}, "each of 5 stages"),
        ({"output_stride": 16}, "output_stride must be 32"),
        ({"depth": 0}, r"depth must be in 1\.\.5"),
        ({"depth": 6}, r"depth must be in 1\.\.5"),
    ],
    ids=str,
)
def test_errors_say_what_is_right(arguments, message):
    with pytest.raises(smp_core.errors.OptionError, match=message):
        VGGEncoder(**{"layers": (1, 1, 1, 1, 1), "batch_norm": True, **arguments})


def test_recomputed_activations_are_no_matter_of_a_script():
    encoder = VGGEncoder((1, 1, 1, 1, 1), True, depth=2)
    encoder.set_gradient_checkpointing(True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(encoder)
    x = torch.rand(2, 3, 32, 32)
    for ours, theirs in zip(encoder(x), scripted(x), strict=True):
        assert torch.equal(ours, theirs)


def test_published_keys_of_a_classifier_are_left_out():
    full = VGGEncoder((1, 1, 1, 1, 1), True)
    state_dict = {**full.state_dict(), "classifier.0.weight": torch.zeros(2, 2)}
    given = list(state_dict)
    VGGEncoder((1, 1, 1, 1, 1), True, depth=2).load_state_dict(state_dict)
    assert list(state_dict) == given
    with pytest.raises(RuntimeError, match="head"):
        full.load_state_dict({**state_dict, "head.weight": torch.zeros(2)})
