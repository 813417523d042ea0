"""The form without concatenations gives what the plain form gives, and stands aside where it would not."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from smp_densenet.dense_block import DenseBlock, DenseLayer
from smp_densenet.eager import can_share_buffer


def block(*, training=True, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    module = DenseBlock(layers=3, in_channels=6, growth=4, bottleneck=2).to(dtype)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) * 0.5)
    return module.train(training)


def plain(module):
    """The same block, watched, which only the plain form allows."""
    watched = copy.deepcopy(module)
    watched[0].norm1.register_forward_hook(lambda *_: None)
    return watched


def image(batch=2, *, dtype=torch.float64, height=5, width=7):
    return torch.randn(batch, 6, height, width, dtype=dtype, generator=torch.Generator().manual_seed(1))


def uses_buffer(module, x):
    return can_share_buffer(list(module.children()), DenseLayer, x)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_numbers_gradients_and_statistics(batch, training):
    module = block(training=training)
    reference = plain(module)
    results = []
    for each in (module, reference):
        x = image(batch).requires_grad_()
        out = each(x)
        projection = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(2))
        results.append((out, *torch.autograd.grad((out * projection).sum(), [x, *each.parameters()])))
    assert uses_buffer(module, image(batch))
    assert not uses_buffer(reference, image(batch))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
    for (key, ours), theirs in zip(module.named_buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=key)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_without_gradients(context):
    module = block(training=False, dtype=torch.float32)
    with context():
        x = image(dtype=torch.float32)
        torch.testing.assert_close(module(x), plain(module)(x))
    assert module(x.clone()).requires_grad


def test_some_norms_frozen():
    """A norm in evaluation mode among others in training mode, and one without momentum."""
    module = block()
    module[0].norm1.eval()
    module[1].norm1.momentum = None
    reference = plain(module)
    for _ in range(2):
        torch.testing.assert_close(module(image()), reference(image()))
    for ours, theirs in zip(module.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_parameters_without_gradients():
    module = block()
    module[0].requires_grad_(False)
    module[1].conv1.requires_grad_(False)
    module[2].norm1.requires_grad_(False)
    reference = plain(module)
    for each in (module, reference):
        each(image()).square().sum().backward()
    for ours, theirs in zip(module.parameters(), reference.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_gradients(training):
    module = block(training=training)
    results = []
    for each in (module, plain(module)):
        x = image().requires_grad_()
        first = torch.autograd.grad(each(x).square().sum(), x, create_graph=True)[0]
        results.append(torch.autograd.grad(first.square().sum(), [x, *each.parameters()]))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_two_runs_before_the_gradient():
    module = block(training=False)
    x = image().requires_grad_()
    expected = 2 * torch.autograd.grad(module(x).sum(), x)[0]
    torch.testing.assert_close(torch.autograd.grad(module(x).sum() + module(x).sum(), x)[0], expected)


def test_checkpointing():
    module = block(training=False)
    x = image().requires_grad_()
    expected = torch.autograd.grad(module(x).square().sum(), x)[0]
    again = torch.utils.checkpoint.checkpoint(module, x, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(again.square().sum(), x)[0], expected)


def test_transforms():
    module = block(training=False)
    x, tangent = image(), image(batch=2).flip(0)
    reference = plain(module)

    def total(item):
        return module(item).square().sum()

    expected = torch.autograd.functional.jacobian(lambda item: reference(item).square().sum(), x)
    torch.testing.assert_close(torch.func.grad(total)(x), expected)
    torch.testing.assert_close(torch.func.vmap(module)(x.unsqueeze(1)).squeeze(1), reference(x))
    directional = (expected * tangent).sum()
    torch.testing.assert_close(torch.func.jvp(total, (x,), (tangent,))[1], directional)
    with forward_ad.dual_level():
        dual = total(forward_ad.make_dual(x, tangent))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, directional)


def _replaced(module):
    module[1].norm1 = nn.GroupNorm(2, 10).double()


def _biased(module):
    module[1].conv1 = nn.Conv2d(10, 8, 1).double()


@pytest.mark.parametrize("change", [_replaced, _biased])
def test_replaced_layers_are_called(change):
    module = block()
    change(module)
    assert not uses_buffer(module, image())
    assert module(image()).shape == (2, 18, 5, 7)


@pytest.mark.parametrize(
    ("x", "context"),
    [
        (image(1, height=1, width=1), nullcontext()),
        (image().to(memory_format=torch.channels_last), nullcontext()),
        (image(dtype=torch.bfloat16), nullcontext()),
        (image(dtype=torch.float32), nullcontext()),  # the block is in float64
        (image(), torch.autocast("cpu", dtype=torch.bfloat16)),
    ],
    ids=["single value", "channels innermost", "bfloat16", "another dtype", "autocast"],
)
def test_the_plain_form_where_the_other_does_not_hold(x, context):
    with context:
        assert not uses_buffer(block(), x)


def test_a_single_value_has_no_statistics():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        block()(image(1, height=1, width=1))


def test_nothing_of_the_square_is_kept():
    """What is kept for the gradient: the plain form keeps twice what all layers see."""
    module = block()
    x = image().requires_grad_()

    def kept(each):
        storages = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda item: storages.setdefault(item.untyped_storage().data_ptr(), item), lambda item: item
        ):
            each(x)
        return sum(item.untyped_storage().nbytes() for item in storages.values())

    seen = sum(layer.norm1.num_features for layer in module) * x[:, 0].numel() * x.element_size()
    assert kept(module) <= kept(plain(module)) - seen


@pytest.mark.parametrize("batch", [1, 2])
def test_what_is_written_into_the_result_does_not_reach_the_gradient(batch):
    module = block(training=False)
    x = image(batch)
    reference = plain(module)
    for each in (module, reference):
        each(x).mul_(0.5).square().sum().backward()
    for found, expected in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)


@pytest.mark.parametrize("attribute", ["track_running_stats", "num_batches_tracked"])
def test_statistics_that_are_not_tracked(attribute):
    module = block()
    for layer in module:
        setattr(layer.norm1, attribute, False if attribute == "track_running_stats" else None)
    reference = plain(module)
    x = image()
    torch.testing.assert_close(module(x), reference(x))
    for key, value in reference.state_dict().items():
        torch.testing.assert_close(module.state_dict()[key], value, msg=key)


@pytest.mark.parametrize("name", ["norm1.weight", "conv1.weight"])
def test_forward_differentiation_in_a_parameter(name):
    module = block(training=False)
    key = f"denselayer2.{name}"
    tangent = torch.ones_like(module.get_parameter(key))
    found = []
    for each in (module, plain(module)):
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(each.get_parameter(key).detach(), tangent)
            out = torch.func.functional_call(each, {key: dual}, (image(),))
            found.append(forward_ad.unpack_dual(out).tangent)
    torch.testing.assert_close(*found)
