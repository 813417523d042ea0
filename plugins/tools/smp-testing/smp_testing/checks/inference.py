"""Checks of what `smp_core.optimize` makes of a module, with whatever its parts say by ``inference_form``.

An encoder or a neck is optimised as the one part of a model that returns what it returns.
"""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from smp_core import SegmentationModel, optimize
from smp_core.errors import InputError, OptionError
from smp_core.inference import HasInferenceForm
from smp_testing.cases import ArchitectureCase, ModuleCase, perturb
from smp_testing.checks.surgery import of_each_kind, parts_of
from smp_testing.checks.tracing import expect_compiles, expect_exports
from smp_testing.encoders import PYRAMID
from smp_testing.expectations import expect, expect_close, expect_runs, some

_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.modules.batchnorm._BatchNorm, nn.LayerNorm)
_FORMATS = ("channels_last", "contiguous")


class Carrier(SegmentationModel):
    """A model that returns what one module returns: `smp_core.optimize` takes whole models."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(PYRAMID.build(depth=1), nn.Identity(), nn.Identity())
        self.module = module

    def forward(self, x: Tensor) -> Any:
        """Whatever the module makes of the input."""
        return self.module(x)


def inference_form_gives_the_same(case: ModuleCase) -> None:
    """What `smp_core.optimize` makes of it gives the same numbers, in either memory format, at any size."""
    module = case.settled()
    for layout in _FORMATS:
        form = _form(case, module, layout, exact=True)
        for x in (case.image(), case.image(1, case.size + 13, case.size + 5)):
            what = f"{case.name}: its inference form, {layout}, at {tuple(x.shape)}"
            with torch.no_grad():
                found = expect_runs(lambda form=form, x=x: case.run(form, x), what)  # type: ignore[misc]
                expect_close(found, case.run(module, x), what)


def inference_form_leaves_the_original_alone(case: ModuleCase) -> None:
    """`smp_core.optimize` changes nothing of the module that it is given: tensors, modes, hooks, parts, results."""
    module, x = case.build().eval(), case.image()
    perturb(module)
    with torch.no_grad():
        expected = case.run(module, x)
    module.train()
    before, tensors = _state(module), {name: tensor.detach().clone() for name, tensor in _tensors(module).items()}
    form = _form(case, module, "channels_last")
    with torch.no_grad():
        case.run(form, x)
    after = _state(module)
    changed = [name for name, state in after.items() if before.get(name) != state]
    changed += [name for name in before if name not in after]
    changed += [name for name, tensor in _tensors(module).items() if not _same(tensor, tensors.get(name))]
    expect(
        not changed,
        f"{case.name}: smp_core.optimize changes {some(changed)} of the original; expected inference_form to work on "
        "the copy that it is asked of, and on its parts",
    )
    with torch.no_grad():
        expect_close(case.run(module.eval(), x), expected, f"{case.name}, after its inference form was made")


def inference_form_only_infers(case: ModuleCase) -> None:
    """Every part is in evaluation mode for good, and gives no gradient; asking for one is an error."""
    form, x = _form(case, case.settled(), "channels_last"), case.image()
    training = [name for name, part in form.named_modules() if part.training]
    expect(not training, f"{case.name}: of its inference form {some(training)} are in training mode; expected none")
    wanting = [name for name, item in form.named_parameters() if item.requires_grad]
    expect(not wanting, f"{case.name}: of its inference form {some(wanting)} want gradients; expected none to")
    with torch.enable_grad():
        tracked = [index for index, item in enumerate(case.run(form, x)) if item.requires_grad]
    expect(not tracked, f"{case.name}: outputs {tracked} of its inference form carry gradients; expected none to")
    refusals: Mapping[str, tuple[type[Exception], Callable[[], object]]] = {
        "train()": (OptionError, form.train),
        "requires_grad_()": (OptionError, form.requires_grad_),
        "an input that wants a gradient": (InputError, lambda: form(x.clone().requires_grad_())),
    }
    for what, (kind, ask) in refusals.items():
        try:
            ask()
        except kind:
            continue
        expect(False, f"{case.name}: its inference form takes {what}; expected an {kind.__name__}")


def inference_form_keeps_changes(case: ModuleCase) -> None:
    """A part that a user has hooked or replaced has its effect in the inference form."""
    module, x = copy.deepcopy(case.settled()), case.image()
    for name in of_each_kind(module, _changeable(case, module)):
        part = module.get_submodule(name)
        handle = part.register_forward_hook(_turned_by_hook)
        _expect_change_kept(case, module, x, f"a hook on {name}, a {type(part).__name__}")
        handle.remove()
        if isinstance(part, _LAYERS):
            parent, _, own = name.rpartition(".")
            module.get_submodule(parent)._modules[own] = _Turned(part)
            _expect_change_kept(case, module, x, f"another module in place of {name}, a {type(part).__name__}")
            module.get_submodule(parent)._modules[own] = part


def inference_form_is_saved(case: ModuleCase) -> None:
    """`copy.deepcopy`, `pickle` and `torch.save` of the inference form give what it gives."""
    form, x = _form(case, case.settled(), "channels_last"), case.image()
    with torch.no_grad():
        expected = case.run(form, x)
        for how, make in (("copy.deepcopy", copy.deepcopy), ("pickle", _pickled), ("torch.save", _saved)):
            what = f"{case.name}: its inference form, by {how}"
            made = expect_runs(lambda make=make: make(form), what)  # type: ignore[misc]
            expect_close(case.run(made, x), expected, what)


def inference_form_compiles_and_exports(case: ModuleCase) -> None:
    """`torch.compile` takes the inference form, and `torch.export` one with rows innermost, as they take the module.

    Of modules without an ``inference_form`` of their own nothing new is to be seen.
    """
    module = case.settled()
    if not any(True for _ in _own_forms(case, module)):
        return
    expect_compiles(case, _form(case, module, "channels_last"), of="its inference form ")
    # Of a norm that stays, as before a convolution, torch asks for the layout, which holds for some sizes alone.
    expect_exports(case, _form(case, module, "contiguous"), of="its inference form ")


def _form(case: ModuleCase, module: nn.Module, layout: str, *, exact: bool = False) -> nn.Module:
    """The inference form; ``exact`` where it is an error that a part was left because it gave other numbers."""

    def make() -> nn.Module:
        model = module if isinstance(module, SegmentationModel) else Carrier(module)
        if model is not module:
            model.train(module.training)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "optimize: ", RuntimeWarning)
            if exact:
                warnings.filterwarnings("error", "optimize: .* is left as it is", RuntimeWarning)
            return optimize(model, memory_format=layout)

    return expect_runs(make, f"{case.name}: smp_core.optimize", "its inference form")


def _own_forms(case: ModuleCase, module: nn.Module) -> Iterator[str]:
    """Names of modules that say what they become, of an architecture those of its own."""
    for name, part in parts_of(module):
        is_own = not isinstance(case, ArchitectureCase) or not f"{name}.".startswith("encoder.")
        if is_own and isinstance(part, HasInferenceForm):
            yield name


def _changeable(case: ModuleCase, module: nn.Module) -> list[str]:
    """The modules that say what they become, and the layers in them: those read them. And the outermost layers."""
    owners = [name for name in _own_forms(case, module) if name]
    layers = [name for name, part in parts_of(module) if name and not part._modules]
    within = [name for name in layers if any(name.startswith(f"{owner}.") for owner in owners)]
    outermost = [name for name in layers if isinstance(module.get_submodule(name), _LAYERS)]
    return [*dict.fromkeys((*owners, *within, *outermost[:1], *outermost[-1:]))]


def _expect_change_kept(case: ModuleCase, module: nn.Module, x: Tensor, change: str) -> None:
    what = f"{case.name}: its inference form, with {change}"
    with torch.no_grad():
        expected = case.run(module, x)
        found = expect_runs(lambda: case.run(_form(case, module, "channels_last", exact=True), x), what)
        expect_close(found, expected, f"{what}, against the model with it")


class _Turned(nn.Module):
    """A layer of somebody's own: another one's result the other way round, and larger."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *given: Any) -> Any:
        return _turned(self.layer(*given))


def _turned(out: Tensor) -> Tensor:
    return out.flip(-1) * 1.5


def _turned_by_hook(_: nn.Module, __: Any, out: Any) -> Any:
    return _turned(out) if isinstance(out, Tensor) else None


def _state(module: nn.Module) -> dict[str, object]:
    """By name, what a module's parts and tensors are, but for the values: which, how hooked, in which mode."""
    found: dict[str, object] = {}
    for name, part in module.named_modules(remove_duplicate=False):
        hooks = len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)
        found[name or "the module"] = (id(part), type(part), part.training, hooks, [*part._modules])
    for name, tensor in _tensors(module).items():
        found[name] = (id(tensor), tensor.requires_grad, tensor.dtype, tuple(tensor.shape), tensor.stride())
    return found


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _same(tensor: Tensor, other: Tensor | None) -> bool:
    return other is not None and tensor.shape == other.shape and torch.equal(tensor, other)


def _pickled(module: nn.Module) -> nn.Module:
    made: nn.Module = pickle.loads(pickle.dumps(module))  # noqa: S301  # made in the same line
    return made


def _saved(module: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    made: nn.Module = torch.load(file, weights_only=False)
    return made
