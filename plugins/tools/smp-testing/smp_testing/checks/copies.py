"""Checks of what people do to a built module as a whole: copy it, exchange its weights, transform and convert it."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.utils.checkpoint import checkpoint

from smp_testing.cases import ArchitectureCase, EncoderCase, ModuleCase, perturb
from smp_testing.checks.surgery import INDIVISIBLE, parts_of
from smp_testing.expectations import NotApplicable, expect, expect_close, expect_equal, expect_runs
from smp_testing.training import expect_same_gradients, gradients_of, loss_of, without_dropout

# Of the norm of an output: what a hundred layers in bfloat16, of 8 bits, may be off.
_LOW_PRECISION = 0.25


def copies_are_independent(case: ModuleCase) -> None:
    """`copy.deepcopy`, `pickle` and `torch.save` give modules that share nothing with the one they were made of."""
    module, x = case.settled(), case.image()
    other = _other(case)
    expected, wanted = _run(case, module, x), _run(case, other, x)
    for how, make in (("copy.deepcopy", copy.deepcopy), ("pickle", _pickled), ("torch.save", _saved)):
        what = f"{case.name}, a copy by {how}"
        made: nn.Module = expect_runs(lambda make=make: make(module), what)  # type: ignore[misc]
        expect_close(_run(case, made, x), expected, what)
        with torch.no_grad():
            for one, new in zip(made.state_dict().values(), other.state_dict().values(), strict=True):
                one.copy_(new)
        expect_close(_run(case, made, x), wanted, f"{what}, with other weights")
        expect_close(_run(case, module, x), expected, f"{case.name}, after the weights of {what} were changed")


def weights_are_read_at_each_call(case: ModuleCase) -> None:
    """Weights that change between two calls, in place or exchanged for others, are those that the next one uses."""
    module, x = copy.deepcopy(case.settled()), case.image()
    other = _other(case)
    _run(case, module, x)
    expected = _run(case, other, x)
    # By one name each: what is shared is in the state dict by several.
    weights = {**dict(other.named_parameters()), **dict(other.named_buffers())}
    found = expect_runs(
        lambda: case.run(lambda item: functional_call(module, weights, (item,)), x),
        f"{case.name} by torch.func.functional_call",
    )
    expect_close([item.detach() for item in found], expected, f"{case.name} by torch.func.functional_call")
    for name, parameter in other.named_parameters():
        parent, _, own = name.rpartition(".")
        new = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
        setattr(module.get_submodule(parent), own, new)
    module.load_state_dict(other.state_dict())
    expect_close(_run(case, module, x), expected, f"{case.name} with new parameters in place of its own")
    with torch.no_grad():
        mine = dict(module.named_parameters(remove_duplicate=False))
        for name, given in case.settled().named_parameters(remove_duplicate=False):
            mine[name].data = given.detach().clone()
        for buffer, given_buffer in zip(module.buffers(), case.settled().buffers(), strict=True):
            buffer.copy_(given_buffer)
    expect_close(_run(case, module, x), _run(case, case.settled(), x), f"{case.name} after its .data was exchanged")


def maps_over_images_and_models(case: ModuleCase) -> None:
    """`torch.func.vmap` over images, and over the stacked weights of two modules, gives what loops give.

    In float64: the kernels are others, and a hundred layers make much of what they round otherwise.
    """
    module, x = copy.deepcopy(case.settled()).double(), case.image().double()
    other = copy.deepcopy(_other(case)).double()
    with torch.no_grad(), warnings.catch_warnings():
        # Of operations that vmap runs in a loop, which gives the same.
        warnings.filterwarnings("ignore", message="There is a performance drop")
        mapped = expect_runs(
            lambda: vmap(lambda image: tuple(case.run(module, image[None])))(x),
            f"{case.name} under torch.func.vmap over images",
        )
        expect_close([item[:, 0] for item in mapped], _run(case, module, x), f"{case.name}, mapped over images")
        parameters, buffers = stack_module_state([module, other])
        skeleton = copy.deepcopy(module)

        def run(weights: dict[str, Tensor], statistics: dict[str, Tensor]) -> tuple[Tensor, ...]:
            return tuple(case.run(lambda item: functional_call(skeleton, (weights, statistics), (item,)), x))

        ensemble = expect_runs(lambda: vmap(run)(parameters, buffers), f"{case.name} under torch.func.vmap over models")
        for number, one in enumerate((module, other)):
            expect_close([item[number] for item in ensemble], _run(case, one, x), f"{case.name}, mapped over models")


def other_dtypes_stay_near(case: ModuleCase) -> None:
    """In bfloat16, float16, float64 and in shared memory it runs, and gives about what it gives in float32."""
    module, x = case.settled(), case.image()
    expected = _run(case, module, x)
    for dtype, tolerance in ((torch.bfloat16, _LOW_PRECISION), (torch.float16, _LOW_PRECISION), (torch.float64, 1e-3)):
        converted = copy.deepcopy(module).to(dtype)
        what = f"{case.name} in {dtype}"
        found = expect_runs(lambda converted=converted, dtype=dtype: _run(case, converted, x.to(dtype)), what)  # type: ignore[misc]
        expect_equal([item.dtype for item in found], [dtype] * len(found), f"{what}: dtypes of the outputs")
        for got, wanted in zip(found, expected, strict=True):
            if dtype == torch.float16 and not got.isfinite().all():
                continue  # random weights may well exceed its range, which ends at 65504
            distance = (got.double() - wanted.double()).norm() / wanted.double().norm().clamp(min=1e-12)
            expect(
                distance < tolerance,
                f"{what}: an output differs by {distance:.2g} of its norm; expected less than {tolerance:g}",
            )
    shared = copy.deepcopy(module)
    shared.share_memory()
    expect_close(_run(case, shared, x), expected, f"{case.name} in shared memory")


def recomputed_layers_train_alike(case: ModuleCase) -> None:
    """With `torch.utils.checkpoint` around each of its layers a training step gives the same gradients."""
    # In double precision, where the other order of a sum does not show.
    plain, x = without_dropout(case.build().double()), case.image().double()
    perturb(plain)
    recomputed = copy.deepcopy(plain)
    for _, part in [*parts_of(recomputed)]:
        if isinstance(part, INDIVISIBLE):
            continue
        for name, layer in part.named_children():
            if not [*layer.children()] and [*layer.parameters(recurse=False)]:
                part._modules[name] = _Recomputed(layer)
    what = f"{case.name} with recomputed layers"
    expected, found = _gradients(case, plain, x), expect_runs(lambda: _gradients(case, recomputed, x), what)
    expect_same_gradients({key.replace(".recomputed", ""): item for key, item in found.items()}, expected, what)


def first_convolution_may_be_replaced(case: EncoderCase) -> None:
    """The convolution that sees the input may be replaced by one of other channels: then it takes images of these."""
    module = copy.deepcopy(case.settled())
    name = str(getattr(module, "first_convolution", ""))
    old: Any = module.get_submodule(name)
    if not name or len(getattr(module, "further_first_convolutions", ())) or not isinstance(old, nn.Conv2d):
        raise NotApplicable(f"{case.name} does not name one convolution that alone sees the input")
    geometry: dict[str, Any] = {"stride": old.stride, "padding": old.padding, "dilation": old.dilation}
    new = nn.Conv2d(old.in_channels + 3, old.out_channels, old.kernel_size, bias=old.bias is not None, **geometry)  # type: ignore[arg-type]
    parent, _, own = name.rpartition(".")
    setattr(module.get_submodule(parent), own, new)
    x = case.image(channels=new.in_channels)
    what = f"{case.name} with a first convolution of {new.in_channels} channels"
    found = [item.shape[1:] for item in expect_runs(lambda: _run(case, module, x), what) if item.shape[1] != x.shape[1]]
    expected = [item.shape[1:] for item in _run(case, case.settled(), case.image()) if item.shape[1] != 3]
    expect_equal(found, expected, f"{what}: shapes of the features")


def heads_may_be_replaced(case: ArchitectureCase) -> None:
    """With another last convolution masks have its channels; without its upsampling they are that much smaller."""
    model: Any = copy.deepcopy(case.settled())
    convolutions: list[tuple[str, Any]] = [
        (name, part) for name, part in model.segmentation_head.named_modules() if type(part) is nn.Conv2d
    ]
    expect(convolutions, f"{case.name}: its segmentation head has no convolution; expected one that makes the classes")
    name, last = convolutions[-1]
    new = nn.Conv2d(last.in_channels, last.out_channels + 2, last.kernel_size, padding=last.padding)
    parent, _, own = name.rpartition(".")
    model.segmentation_head.get_submodule(parent)._modules[own] = new
    x = case.image(height=case.size + 4, width=case.size + 9)
    masks = expect_runs(lambda: _run(case, model, x), f"{case.name} with another last convolution")[0]
    expect_equal(masks.shape[1], new.out_channels, f"{case.name} with another last convolution: channels of the masks")
    factors = []
    for part in [*model.segmentation_head.modules()]:
        for child_name, child in part.named_children():
            if isinstance(child, nn.Upsample):
                factors.append(int(child.scale_factor))  # type: ignore[arg-type]  # of ours it is a number
                part._modules[child_name] = nn.Identity()
    factor = factors[0] if len(factors) == 1 else 1
    smaller = _run(case, model, x)[0]
    wanted = tuple(-(-size // factor) for size in masks.shape[2:])
    expect_equal(tuple(smaller.shape[2:]), wanted, f"{case.name} without its upsampling by {factor}: size of the masks")


class _Recomputed(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.recomputed = layer

    def forward(self, *inputs: Any) -> Any:
        return checkpoint(self.recomputed, *inputs, use_reentrant=False)


def _other(case: ModuleCase) -> nn.Module:
    """A module of the same kind with other weights."""
    other = case.build(seed=3)
    perturb(other)
    return other.eval()


def _run(case: ModuleCase, module: nn.Module, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return case.run(module, x)


def _gradients(case: ModuleCase, module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    torch.default_generator.manual_seed(0)
    loss_of(case.run(module.train(), x)).backward()
    return gradients_of(module)


def _pickled(module: nn.Module) -> nn.Module:
    made: nn.Module = pickle.loads(pickle.dumps(module))  # noqa: S301  # what was just written
    return made


def _saved(module: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    made: nn.Module = torch.load(file, weights_only=False)  # what was just written, and the whole module is wanted
    return made
