"""Checks that encoders and models share: what their numbers depend on, gradients, state dicts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_testing.cases import ModuleCase, perturb
from smp_testing.expectations import ConformanceError, beginning, expect, expect_close, expect_equal, some
from smp_testing.training import loss_of

_OTHER_WEIGHTS = 9


def batch_items_are_independent(case: ModuleCase) -> None:
    """In evaluation mode the result for an image is the same alone, in a batch, and beside another image."""
    module, x = case.settled(), case.image(3)
    with torch.no_grad():
        for one in (slice(0, 1), slice(2, 3)):
            other = 10 * x.flip(0)
            other[one] = x[one]
            alone = case.run(module, x[one])
            in_batch = [item[one] for item in case.run(module, x)]
            beside_another = [item[one] for item in case.run(module, other)]
            expect_close(beside_another, in_batch, f"{case.name}: an image beside other images")
            expect_close(alone, in_batch, f"{case.name}: an image alone against the same image in a batch")


def input_is_left_alone(case: ModuleCase) -> None:
    """``forward`` does not write into its input."""
    module, x = case.settled(), case.image()
    before = x.clone()
    with torch.no_grad():
        case.run(module, x)
    expect(torch.equal(x, before), f"{case.name}: forward changed its input in place; expected it to be as before")


def gradients_reach_every_parameter(case: ModuleCase) -> None:
    """After a backward pass in training mode every trainable parameter has a finite gradient."""
    module = case.build()
    perturb(module)
    outputs = [item for item in case.run(module.train(), case.image()) if item.requires_grad]
    expect(outputs, f"{case.name}: nothing that forward returns requires a gradient; expected all that is computed to")
    loss_of(outputs).backward()
    # Empty parameters exist so that checkpoints fit; there is nothing to reach.
    trainable = [(name, item) for name, item in module.named_parameters() if item.requires_grad and item.numel()]
    missing = [name for name, item in trainable if item.grad is None]
    expect(
        not missing,
        f"{case.name}: no gradient reaches {some(missing)}; expected every parameter to be used in forward, as "
        "distributed training does",
    )
    bad = [name for name, item in trainable if item.grad is not None and not torch.isfinite(item.grad).all()]
    expect(not bad, f"{case.name}: the gradient of {some(bad)} holds NaN or infinity; expected finite values")
    silent = _without_gradient(module)
    # Where one position attends to itself alone, a gate is shut or the only unit of a layer is dead: not in a larger
    # image, nor with other weights each time.
    for seed in range(1, _OTHER_WEIGHTS + 1):
        if silent:
            silent &= _without_gradient(_trained(case, seed=seed, size=2 * case.size))
    expect(
        not silent,
        f"{case.name}: the gradient of {some(sorted(silent))} is 0 everywhere; expected it to learn",
        hint="no detach() on the way, no hook that returns zeros; what is not to learn is a buffer",
    )


def _trained(case: ModuleCase, *, seed: int, size: int) -> nn.Module:
    """A module after a backward pass."""
    module = case.build(seed=seed)
    perturb(module)
    loss_of(case.run(module.train(), case.image(2, size, size, seed=seed))).backward()
    return module


def _without_gradient(module: nn.Module) -> set[str]:
    found = [(name, item.grad) for name, item in module.named_parameters() if item.requires_grad and item.numel()]
    return {name for name, gradient in found if gradient is not None and not gradient.any()}


def state_dict_round_trip(case: ModuleCase) -> None:
    """The state dict loads strictly into another module, which then gives the same; the caller's dict stays."""
    module, x = case.settled(), case.image()
    state_dict = module.state_dict()
    names = list(state_dict)
    other = case.build(seed=1).eval()
    expect_equal(
        sorted(other.state_dict()), sorted(names), f"{case.name}: state-dict keys of a second module of the same kind"
    )
    try:
        other.load_state_dict(state_dict)
    except RuntimeError as error:
        raise ConformanceError(f"{case.name}: its own state dict does not load strictly: {error}") from error
    expect_equal(list(state_dict), names, f"{case.name}: keys of the caller's dict after load_state_dict")
    with torch.no_grad():
        got, expected = case.run(other, x), case.run(module, x)
    what = f"{case.name}: a module after loading another's state dict"
    unsaved = [
        name for name, tensor in other.named_buffers() if name not in state_dict and _is_other(module, name, tensor)
    ]
    try:
        expect_close(got, expected, what)
    except ConformanceError as error:
        if not unsaved:
            raise
        raise ConformanceError(
            f"{error}; the two have other numbers in {some(unsaved)}, which the state dict does not hold",
            hint="register_buffer(name, tensor) saves it; persistent=False is for what every module computes alike",
        ) from error


def _is_other(module: nn.Module, name: str, tensor: Tensor) -> bool:
    mine = dict(module.named_buffers()).get(name)
    return mine is not None and (mine.shape != tensor.shape or not torch.equal(mine, tensor))


def builds_on_meta_device(case: ModuleCase) -> None:
    """Built under ``torch.device("meta")``, as when a checkpoint is read, it holds meta tensors only."""
    try:
        module = case.build_on_meta()
    except (RuntimeError, NotImplementedError) as error:
        raise ConformanceError(
            f"{case.name} cannot be built on the meta device, as checkpoints are loaded: {beginning(error)}; expected "
            "a constructor that looks into no tensor",
            hint="compute numbers in Python, as in [rate * i / (n - 1) for i in range(n)], and register a buffer for a "
            "tensor that forward needs: self.register_buffer('mean', torch.zeros(3)). Saving and loading work all the "
            "same, only slower: where it is somebody else's model, declare it in smp_conformance",
        ) from error
    real = [name for name, tensor in (*module.named_parameters(), *module.named_buffers()) if not tensor.is_meta]
    expect(
        not real,
        f"{case.name} built under torch.device('meta') holds real tensors: {some(real)}; expected meta tensors only",
        hint="give tensors no device of their own: torch.zeros(3), not torch.zeros(3, device='cpu') or from_numpy(...)",
    )
