"""Decoders alone, over encoders that lack a level."""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import Any

import pytest
import torch

import smp_compat as smp
from smp_core.errors import OptionError

PEER = "segmentation_models_pytorch"
IMAGE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

OF_BLOCKS: list[tuple[str, str, dict[str, Any]]] = [
    ("unet", "UnetDecoder", {"decoder_channels": (32, 16, 16, 8, 8)}),
    ("unetplusplus", "UnetPlusPlusDecoder", {"decoder_channels": (32, 16, 16, 8, 8)}),
    ("manet", "MAnetDecoder", {"decoder_channels": (32, 16, 16, 8, 8)}),
]
OF_DEPTH: list[tuple[str, str, dict[str, Any]]] = [
    ("segformer", "SegformerDecoder", {"encoder_depth": 5}),
    ("upernet", "UPerNetDecoder", {"encoder_depth": 5}),
    ("fpn", "FPNDecoder", {"encoder_depth": 5}),
]


def decoder_of(library: str, module: str, name: str, channels: Any, options: dict[str, Any]) -> Any:
    return getattr(importlib.import_module(f"{library}.decoders.{module}.decoder"), name)(channels, **options)


@pytest.mark.parametrize(("module", "name", "options"), OF_BLOCKS)
def test_a_block_for_each_level_tells_which_one_is_missing(module: str, name: str, options: dict[str, Any]) -> None:
    encoder = smp.encoders.get_encoder("mit_b0")
    assert encoder.out_channels == (3, 32, 64, 160, 256)
    expected = decoder_of("smp_compat", module, name, (3, 0, 32, 64, 160, 256), options)
    found = decoder_of("smp_compat", module, name, encoder.out_channels, options)
    assert {key: item.shape for key, item in found.state_dict().items()} == {
        key: item.shape for key, item in expected.state_dict().items()
    }
    assert found(encoder(IMAGE)).shape == (2, 8, 64, 64)


@pytest.mark.parametrize(("module", "name", "options"), OF_DEPTH)
def test_others_are_told(module: str, name: str, options: dict[str, Any]) -> None:
    encoder = smp.encoders.get_encoder("mit_b0")
    message = (
        "encoder_channels=(3, 32, 64, 160, 256): expected 6 numbers, of the input and of the levels of reduction 2 "
        "to 32, got 5; for an encoder without a level of reduction 2 give (3, 0, 32, 64, 160, 256), for one of another "
        "depth its depth"
    )
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        decoder_of("smp_compat", module, name, encoder.out_channels, options)
    decoder = decoder_of("smp_compat", module, name, (3, 0, 32, 64, 160, 256), options)
    assert decoder(encoder(IMAGE)).shape[2:] == (16, 16)


@pytest.mark.parity
@pytest.mark.skipif(importlib.util.find_spec(PEER) is None, reason="the peer is installed in the parity session only")
@pytest.mark.parametrize(("module", "name", "options"), [*OF_BLOCKS, *OF_DEPTH])
def test_they_give_the_peers_numbers(module: str, name: str, options: dict[str, Any]) -> None:
    import segmentation_models_pytorch as peer

    torch.manual_seed(0)
    theirs = peer.encoders.get_encoder("mit_b0", weights=None).eval()
    ours = smp.encoders.get_encoder("mit_b0").eval()
    ours.load_state_dict(theirs.state_dict())
    channels = theirs.out_channels
    expected = decoder_of(PEER, module, name, channels, options).eval()
    found = decoder_of("smp_compat", module, name, channels, options).eval()
    found.load_state_dict(expected.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(found(ours(IMAGE)), expected(theirs(IMAGE)), rtol=0, atol=1e-4)
        torch.testing.assert_close(found(theirs(IMAGE)), expected(theirs(IMAGE)), rtol=0, atol=1e-4)
