"""What the encoder refuses, and copies of it."""

import copy
import pickle

import pytest
import torch

from smp_core.errors import OptionError
from smp_sknet.encoder import SKNetEncoder


def test_an_unknown_block():
    with pytest.raises(OptionError, match="unknown block 'wide'; expected one of basic, bottleneck"):
        SKNetEncoder("wide", (1, 1, 1, 1))


def test_a_wrong_number_of_stages():
    with pytest.raises(OptionError, match=r"expected 4 numbers of blocks, one for each stage, got \(1, 1\)"):
        SKNetEncoder("basic", (1, 1))


def test_copies():
    encoder = SKNetEncoder("basic", (1, 1, 1, 1), depth=3).eval()
    x = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
            assert all(torch.equal(a, b) for a, b in zip(encoder(x), other(x), strict=True))
