"""Encoders that want the channels innermost in memory get them so, and nobody else notices."""

import pytest
import torch
from torch import nn
from toy_models import ToyEncoder

import smp_core
from smp_core.layers import MapDropout, use_form


class Watching(ToyEncoder):
    """Remembers the layout of its input."""

    channels_last = True

    def forward(self, x):
        self.seen = x.is_contiguous(memory_format=torch.channels_last)
        return super().forward(x)


class Indifferent(Watching):
    channels_last = False


def model_over(encoder):
    torch.manual_seed(0)
    return smp_core.create("toy", encoder, encoder_weights=None, classes=3)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(32, 48), (33, 17)], ids=str)
def test_the_input_is_arranged_and_the_result_is_not(training, size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size)
    results = []
    for kind in (Watching, Indifferent):
        torch.manual_seed(1)
        model = model_over(kind()).train(training)
        with use_form("layout", "channels_last"):  # also for a small image
            results.append(model(x))
        assert model.encoder.seen is kind.channels_last
    assert x.is_contiguous()
    assert all(result.is_contiguous() for result in results)
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.usefixtures("toys")
def test_a_small_image_is_left_as_it_is():
    model = model_over(Watching()).eval()
    for size, arranged in ((32, False), (400, True)):
        model.predict(torch.zeros(1, 3, size, size))
        assert model.encoder.seen is arranged


@pytest.mark.usefixtures("toys")
def test_a_compiled_model_is_left_to_the_compiler():
    seen = []
    model = model_over(Watching()).eval()
    x = torch.randn(1, 3, 32, 32)
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].stride()))
    torch.compile(model, backend="eager")(x)
    assert seen[0] == x.stride()


@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_of_maps_does_not_depend_on_their_layout(inplace):
    x = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    layer = MapDropout(0.5, inplace=inplace)
    results = []
    for given in (x.clone(), x.contiguous(memory_format=torch.channels_last).clone()):
        torch.manual_seed(0)
        results.append(layer(given))
    torch.manual_seed(0)
    assert torch.equal(results[0], nn.functional.dropout(x, 0.5))
    assert torch.equal(results[1], results[0])
    assert results[1].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(torch.jit.script(layer)(x), x)
