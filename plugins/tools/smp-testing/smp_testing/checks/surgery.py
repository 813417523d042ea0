"""Checks of what people do to the layers of a built module: hook, prune, wrap, parametrise, change, quantise them.

All of it works on a module that calls its parts. A faster form that reads the parameters of parts in place of calling
them must notice, and give way: `smp_core.layers.is_stock`.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from smp_testing.cases import ArchitectureCase, ModuleCase
from smp_testing.expectations import expect, expect_close, expect_runs, some
from smp_testing.training import loss_of

Layer: TypeAlias = "nn.Conv2d | nn.ConvTranspose2d | nn.Linear"

_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)

INDIVISIBLE = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""Read parameters of parts that they do not call, torch's own; what is done to these is torch's affair."""

# Of adapters as LoRA's (Hu et al., arXiv:2106.09685).
_RANK = 2

_CALLED = "its parts to be called, as plain modules"


def hooks_fire_on_every_module(case: ModuleCase) -> None:
    """A forward hook on any one module that takes part is called, whatever else is hooked."""
    module, x = copy.deepcopy(case.settled()), case.image()
    called: set[str] = set()
    with torch.no_grad(), _hooked(module, [name for name, _ in module.named_modules() if name], called):
        case.run(module, x)
    silent = [name for name, part in _trained(module) if name not in called and [*part.parameters(recurse=False)]]
    expect(not silent, f"{case.name}: no hook is called on {some(silent)}; expected forward to call each as a module")
    for name in _representatives(case, module, [name for name, _ in _trained(module) if name in called]):
        alone: set[str] = set()
        with torch.no_grad(), _hooked(module, [name], alone):
            case.run(module, x)
        expect(
            alone,
            f"{case.name}: a hook on {name} alone is not called; expected it to be, as where every module has one",
        )


def pruned_layers_train(case: ModuleCase) -> None:
    """With weights pruned by `torch.nn.utils.prune` it gives what zeros in their place give, and trains twice."""
    module, x = case.build(), case.image()
    zeroed = copy.deepcopy(module)
    for name, layer in _layers(module):
        # A mask of our own: choosing exactly so many takes longer than the training.
        prune.custom_from_mask(layer, "weight", torch.rand_like(layer.weight) >= 0.3)
        with torch.no_grad():
            zeroed.get_submodule(name).weight.mul_(layer.weight_mask)  # type: ignore[operator]
    _expect_same(case, module, zeroed, x, "with pruned layers, against zeros in the weights")
    _train(case, module, x, steps=2, what="with pruned layers")


def wrapped_layers_train(case: ModuleCase) -> None:
    """Any one layer may be wrapped: an adapter that adds nothing changes nothing, and learns."""
    module, x = case.build(), case.image()
    module.eval()
    with torch.no_grad():
        expected = case.run(module, x)
    for name in _representatives(case, module, [name for name, _ in _layers(module)]):
        layer: Any = module.get_submodule(name)
        adapted = Adapted(layer)
        _put(module, name, adapted)
        what = f"{case.name}: with {name}, a {type(layer).__name__}, in an adapter that adds nothing"
        outputs = expect_runs(lambda: case.run(module, x), what, _CALLED)
        expect_close([item.detach() for item in outputs], expected, what)
        learned, own = _gradients_of(outputs, adapted.up.weight, layer.weight)
        _put(module, name, layer)
        # Behind a ReLU that lets nothing through, both are zero.
        expect(
            learned is not None and (learned.abs().max() > 0 or own is None or own.abs().max() == 0),
            f"{what}: no gradient reaches the adapter; expected it to learn",
        )


def parametrisations_run_once(case: ModuleCase) -> None:
    """A parametrisation of any weight is computed once a call of its layer, and changes nothing that it should not."""
    plain, x = case.settled(), case.image()
    module = copy.deepcopy(plain)
    counters: dict[str, _Counted] = {}
    for name, layer in _layers(module):
        counters[name] = _Counted()
        parametrize.register_parametrization(layer, "weight", counters[name], unsafe=True)
    calls = _calls(case, module, x, [*counters])
    for counter in counters.values():
        counter.runs = 0
    with torch.no_grad():
        case.run(module, x)
    wrong = [f"{name} ({counter.runs} times)" for name, counter in counters.items() if counter.runs != calls[name]]
    expect(
        not wrong,
        f"{case.name}: in one forward pass the parametrised weight is computed other than once a call of its layer: "
        f"{some(wrong)}; expected each layer to be called, and its weight not to be read besides",
    )
    _expect_same(case, module, plain, x, "with parametrised weights")


def _calls(case: ModuleCase, module: nn.Module, x: Tensor, names: list[str]) -> dict[str, int]:
    """How often each layer is called in a forward pass; a recurrent module calls one several times."""
    calls = dict.fromkeys(names, 0)

    def count(name: str) -> None:
        calls[name] += 1

    handles = [module.get_submodule(name).register_forward_hook(lambda *_, name=name: count(name)) for name in names]
    with torch.no_grad():
        case.run(module, x)
    for handle in handles:
        handle.remove()
    return calls


def changed_attributes_count(case: ModuleCase) -> None:
    """A convolution's padding mode or dilation, changed after it was built, has the effect that calling it has."""
    module, x = copy.deepcopy(case.settled()), case.image()
    names = [name for name, layer in _layers(module) if isinstance(layer, nn.Conv2d) and _is_changeable(layer)]
    for name in _representatives(case, module, names):
        twice = _twice(module.get_submodule(name).padding)  # type: ignore[arg-type]
        for attributes in ({"padding_mode": "replicate"}, {"dilation": (2, 2), "padding": twice}):
            _change(case, module, x, name, attributes)


def _change(case: ModuleCase, module: nn.Module, x: Tensor, name: str, attributes: Mapping[str, object]) -> None:
    layer: Any = module.get_submodule(name)
    everything = [name for name, _ in module.named_modules() if name]
    old = {key: getattr(layer, key) for key in attributes}
    inputs: list[Tensor] = []
    with torch.no_grad():
        before = case.run(module, x)
        vars(layer).update(attributes)
        found = case.run(module, x)
        with _hooked(module, everything, set()):
            handle = layer.register_forward_pre_hook(lambda _, given: inputs.extend(given))
            called = case.run(module, x)
            handle.remove()
        outputs = [layer(item) for item in inputs]
        vars(layer).update(old)
        # On a map of one pixel there may be none, but for what other kernels round otherwise.
        has_effect = any(not torch.allclose(layer(item), out, 1e-4) for item, out in zip(inputs, outputs, strict=True))
    changes = ", ".join(f"{key}={value!r}" for key, value in attributes.items())
    expect_close(found, called, f"{case.name} with {changes} of {name}, against calling every part")
    is_same = all(torch.equal(one, two) for one, two in zip(found, before, strict=True))
    expect(
        not is_same or (inputs and not has_effect),
        f"{case.name}: {changes} of {name} changes nothing; expected the effect that it has on the layer alone",
    )


def longer_sequences_run(case: ModuleCase) -> None:
    """What is put behind the last module of an `nn.Sequential` runs."""
    module, x = copy.deepcopy(case.settled()), case.image()
    sequences = [name for name, part in module.named_modules() if isinstance(part, nn.Sequential) and name]
    trained = [name for name in sequences if [*module.get_submodule(name).parameters()]]
    for name in _representatives(case, module, trained):
        sequence: Any = module.get_submodule(name)
        if type(sequence).forward is not nn.Sequential.forward:
            continue  # what it makes of its parts is its own
        sequence.append(_Halved())
        with torch.no_grad():
            found = expect_runs(lambda: case.run(module, x), f"{case.name}: with {name} longer by one", _CALLED)
            with _hooked(module, [name for name, _ in module.named_modules() if name], set()):
                called = case.run(module, x)
        expect_close(found, called, f"{case.name} with {name} longer by one, against calling every part")
        del sequence._modules[[*sequence._modules][-1]]  # `del sequence[-1]` numbers named children anew


class _Halved(nn.Module):
    def forward(self, x: Any) -> Any:
        return x / 2 if isinstance(x, Tensor) else x


def dynamically_quantised_layers_run(case: ModuleCase) -> None:
    """`torch.ao.quantization.quantize_dynamic` of its linear layers runs, and stays near."""
    module, x = copy.deepcopy(case.settled()), case.image()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces its successor
        expected = case.run(module, x)
        linear = {name for name, layer in _layers(module) if isinstance(layer, nn.Linear)}
        quantised = torch.ao.quantization.quantize_dynamic(module, linear, dtype=torch.qint8)
        found = expect_runs(
            lambda: case.run(quantised, x), f"{case.name}: with its linear layers quantised to int8", _CALLED
        )
    for got, wanted in zip(found, expected, strict=True):
        # Eight bits a weight: a layer that is not called, or twice, is off by its whole effect.
        distance = (got - wanted).norm() / wanted.norm().clamp(min=1e-12)
        expect(
            distance < 0.1,
            f"{case.name}: with its linear layers quantised to int8 the output differs by {distance:.2g} of its norm; "
            "expected less than 0.1",
        )


class Adapted(nn.Module):
    """A layer and a low-rank detour around it, whose last weight is zero: the same result, and something to train."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.base = layer
        if isinstance(layer, nn.Linear):
            self.down: nn.Module = nn.Linear(layer.in_features, _RANK, bias=False)
            self.up: nn.Linear | nn.Conv2d = nn.Linear(_RANK, layer.out_features, bias=False)
        else:
            geometry: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
            if isinstance(layer, nn.ConvTranspose2d):
                geometry["output_padding"] = layer.output_padding
            self.down = type(layer)(layer.in_channels, _RANK, layer.kernel_size, bias=False, **geometry)  # type: ignore[arg-type]
            self.up = nn.Conv2d(_RANK, layer.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """As the layer's."""
        out: Tensor = self.base(x) + self.up(self.down(x))
        return out


class _Counted(nn.Module):
    """A parametrisation that changes nothing and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    def forward(self, weight: Tensor) -> Tensor:
        self.runs += 1
        return weight.clone()


@contextmanager
def _hooked(module: nn.Module, names: list[str], called: set[str]) -> Iterator[None]:
    """While it lasts, modules have forward hooks that note their names."""
    handles = [
        module.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name)) for name in names
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def parts_of(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """All modules with their names, but for those in which torch reads the parameters of what it does not call."""
    within = {
        id(part)
        for item in module.modules()
        if isinstance(item, INDIVISIBLE)
        for part in item.modules()
        if part is not item
    }
    return ((name, part) for name, part in module.named_modules() if id(part) not in within)


def _layers(module: nn.Module) -> list[tuple[str, Any]]:
    """Convolutions and linear layers that are trained."""
    return [
        (name, part)
        for name, part in parts_of(module)
        if isinstance(part, _LAYERS) and part.weight.requires_grad and part.weight.numel()
    ]


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules with trainable parameters anywhere in them, but for those that only hold others."""
    for name, part in parts_of(module):
        is_list = type(part).forward is nn.Module.forward
        if name and not is_list and any(item.requires_grad and item.numel() for item in part.parameters()):
            yield name, part


def _representatives(case: ModuleCase, module: nn.Module, names: list[str]) -> list[str]:
    """Every one of an architecture's own; of an encoder's, of which there are hundreds, two of each kind."""
    if isinstance(case, ArchitectureCase):
        return [name for name in names if not name.startswith("encoder.")]
    return of_each_kind(module, names)


def of_each_kind(module: nn.Module, names: list[str]) -> list[str]:
    """The first and the last of each kind of a module's parts.

    Of a kind are modules of one class, under names that differ in numbers alone, in parents of one class.
    """
    kinds: dict[object, list[str]] = {}
    for name in names:
        parent, _, own = name.rpartition(".")
        kind = type(module.get_submodule(parent)), re.sub(r"\d+", "", own), type(module.get_submodule(name))
        kinds.setdefault(kind, []).append(name)
    return [name for found in kinds.values() for name in dict.fromkeys((found[0], found[-1]))]


def _put(module: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    module.get_submodule(parent)._modules[own] = part


def _is_changeable(layer: nn.Conv2d) -> bool:
    """Whether padding is what another dilation keeps the size with."""
    sizes = (layer.kernel_size, layer.stride, layer.dilation)
    return sizes == ((3, 3), (1, 1), (1, 1)) and layer.padding == (1, 1) and layer.padding_mode == "zeros"


def _twice(padding: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(2 * item for item in padding)


def _gradients_of(outputs: list[Tensor], *weights: Tensor) -> tuple[Tensor | None, ...]:
    # Against noise, as the mean of what a norm gives does not depend on what it is given.
    generator = torch.Generator().manual_seed(2)
    wanted = [item for item in outputs if item.requires_grad]
    total = torch.stack([(item * torch.randn(item.shape, generator=generator)).mean() for item in wanted]).sum()
    return torch.autograd.grad(total, weights, allow_unused=True)


def _train(case: ModuleCase, module: nn.Module, x: Tensor, *, steps: int, what: str) -> None:
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6)
    for step in range(steps):

        def update() -> None:
            loss_of(case.run(module, x)).backward()
            optimizer.step()
            optimizer.zero_grad()

        expect_runs(update, f"{case.name}: {what}, training step {step + 1}", _CALLED)


def _expect_same(case: ModuleCase, module: nn.Module, other: nn.Module, x: Tensor, what: str) -> None:
    with torch.no_grad():
        found = expect_runs(lambda: case.run(module.eval(), x), f"{case.name}: {what}", _CALLED)
        expect_close(found, case.run(other.eval(), x), f"{case.name} {what}")
