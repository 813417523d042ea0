"""Images whose channels are innermost in memory."""

import pytest
import torch

import smp_core


@pytest.mark.parametrize("in_channels", [3, 4])
def test_channels_last_images_of_a_training_size(in_channels):
    """A plain strided 1x1 convolution over such an image crashes the process in backward (torch 2.14, CPU)."""
    encoder = smp_core.create_encoder("mobileone_s0", weights=None, depth=1, in_channels=in_channels)
    x = torch.randn(1, in_channels, 320, 320)
    gradients = []
    for image in (x, x.contiguous(memory_format=torch.channels_last)):
        encoder.zero_grad()
        encoder(image)[1].square().mean().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in encoder.named_parameters()})
    for name, expected in gradients[0].items():
        assert (gradients[1][name] - expected).abs().max() <= 1e-4 * expected.abs().max() + 1e-6, name
