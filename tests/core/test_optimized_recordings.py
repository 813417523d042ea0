"""The optimised form in half precision, recorded for the input that it takes; and under torch's transforms."""

import copy

import pytest
import torch
from torch.autograd import forward_ad

import smp_core
from smp_core.errors import InputError


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return smp_core.create("unet", "resnet18", encoder_weights=None, classes=3).eval()


@pytest.fixture(scope="module")
def fast(model):
    return smp_core.optimize(model, dtype=torch.bfloat16)


def image(size=64):
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))


RECORDINGS = {
    "export": lambda fast: torch.export.export(fast, (image(),)).module(),
    "trace": lambda fast: torch.jit.trace(fast, image(), check_trace=False),  # of the plain forms
    "script": torch.jit.script,
    "fx": torch.fx.symbolic_trace,
    "compile": lambda fast: torch.compile(fast, backend="eager", fullgraph=True),
}


@pytest.mark.parametrize("record", RECORDINGS.values(), ids=RECORDINGS)
def test_a_recording_takes_the_input_that_the_module_takes(model, fast, record):
    wanted = fast(image())
    got = record(fast)(image())
    assert got.dtype == wanted.dtype == torch.bfloat16
    assert (got - wanted).abs().max() < 0.03 * wanted.abs().max()
    single = copy.deepcopy(fast).float()
    torch.testing.assert_close(record(single)(image()), single(image()), rtol=1e-4, atol=1e-4)


def test_a_symbolic_trace_takes_either_precision(fast):
    traced = torch.fx.symbolic_trace(fast)
    assert torch.equal(traced(image()), traced(image().bfloat16()))


def test_a_tangent_is_an_error_as_a_gradient_is(model):
    fast = smp_core.optimize(model)
    message = (
        r"^an optimized model gives no gradients, and its input has a tangent of forward-mode AD: give "
        r"torch.autograd.forward_ad.unpack_dual\(x\).primal, or use the original model$"
    )
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(image(224), torch.ones(1, 3, 224, 224))
        with pytest.raises(InputError, match=message):
            fast(dual)
        assert fast(forward_ad.unpack_dual(dual).primal).shape == (1, 3, 224, 224)


@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_vmap_gives_what_it_gives_of_the_original(model, memory_format):
    images = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    fast = smp_core.optimize(model, memory_format=memory_format)
    with torch.no_grad():
        torch.testing.assert_close(torch.vmap(fast)(images), torch.vmap(model)(images), rtol=1e-4, atol=1e-4)


def test_the_precision_follows_the_weights(fast):
    other = copy.deepcopy(fast).double()
    assert torch.jit.script(other)(image()).dtype == other(image()).dtype == torch.float64
    assert "_like" not in fast.state_dict()
