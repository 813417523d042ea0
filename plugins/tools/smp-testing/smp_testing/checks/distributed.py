"""Checks of a built module in other processes: read there, and trained there together with its like."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from smp_testing.cases import ModuleCase, perturb, tensors_of
from smp_testing.checks.surgery import INDIVISIBLE
from smp_testing.expectations import NotApplicable, expect_close
from smp_testing.training import expect_same_gradients, gradients_of, loss_of, without_dropout
from smp_testing.workers import NUM_PROCESSES, run_in_processes

_AGAINST = "against the mean over both by hand"


def opens_in_a_new_process(case: ModuleCase) -> None:
    """What `torch.save` writes of the whole module a new process reads, and runs with the same result."""
    module, x = case.settled(), case.image()
    with torch.no_grad():
        expected = case.run(module, x)
    run_in_processes(_expect_output, _WithExpected(module, expected), x, f"{case.name}, saved whole")


def trains_in_two_processes(case: ModuleCase) -> None:
    """Under `DistributedDataParallel`, which asks for a gradient of every parameter, it trains as by hand."""
    run_in_processes(_train_replicated, _trainable(case), _images(case), f"{case.name} under DistributedDataParallel")


def trains_sharded(case: ModuleCase) -> None:
    """With the parameters of each layer spread over two processes (FSDP2, `fully_shard`) it trains as by hand."""
    if not hasattr(_fsdp(), "fully_shard"):
        raise NotApplicable("the installed torch has no torch.distributed.fsdp.fully_shard")
    run_in_processes(_train_sharded, _trainable(case), _images(case), f"{case.name} under fully_shard")


def _trainable(case: ModuleCase) -> nn.Module:
    # In double precision, where the other order of a sum does not show.
    module = case.build().double()
    perturb(module)
    if not any(item.requires_grad for item in module.parameters()):
        raise NotApplicable(f"{case.name} has no parameter to train")
    return without_dropout(module)


def _images(case: ModuleCase) -> Tensor:
    """A batch of two for each process."""
    return case.image(2 * NUM_PROCESSES).double()


def _fsdp() -> Any:
    # Found where it is used: importing it takes a second.
    from torch.distributed import fsdp

    return fsdp


class _WithExpected(nn.Module):
    """A module and what it gave, on the way to another process."""

    def __init__(self, module: nn.Module, expected: list[Tensor]) -> None:
        super().__init__()
        self.module = module
        self.expected = expected


def _expect_output(_: int, module: nn.Module, x: Tensor) -> None:
    carried: Any = module
    with torch.no_grad():
        expect_close(tensors_of(carried.module(x)), carried.expected, "run on the same image")


def _train_replicated(rank: int, module: nn.Module, x: Tensor) -> None:
    x = x.chunk(NUM_PROCESSES)[rank]
    expected = _gradients_by_hand(module, x)
    replica = DistributedDataParallel(module.train())
    # It notices at the start of the second step whether the first one left a parameter out.
    for _ in range(2):
        replica.zero_grad()
        _loss(replica, x).backward()
    expect_same_gradients(gradients_of(module), expected, _AGAINST)


def _train_sharded(rank: int, module: nn.Module, x: Tensor) -> None:
    x = x.chunk(NUM_PROCESSES)[rank]
    expected = _gradients_by_hand(module, x)
    mesh = distributed.device_mesh.init_device_mesh("cpu", (NUM_PROCESSES,))
    for part in _parts_with_parameters(module):
        _fsdp().fully_shard(part, mesh=mesh)
    sharded = _fsdp().fully_shard(module.train(), mesh=mesh)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of hooks whose inputs need no gradient
        for _ in range(2):
            sharded.zero_grad()
            _loss(sharded, x).backward()
    gathered = {name: item.full_tensor() for name, item in gradients_of(module).items()}  # type: ignore[attr-defined]  # DTensors
    expect_same_gradients(gathered, expected, _AGAINST)


def _parts_with_parameters(module: nn.Module) -> list[nn.Module]:
    """Every layer with parameters, for FSDP2 to gather when it is called."""
    whole = [item for item in module.modules() if isinstance(item, INDIVISIBLE)]
    inside = {id(part) for item in whole for part in item.modules() if part is not item}
    return [
        part
        for part in module.modules()
        if part is not module
        and [*part.parameters()]
        and id(part) not in inside
        and (isinstance(part, INDIVISIBLE) or not [*part.children()])
    ]


def _gradients_by_hand(module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Of the mean over all processes, by a copy of the module."""
    single = copy.deepcopy(module).train()
    _loss(single, x).backward()
    gradients = gradients_of(single)
    for gradient in gradients.values():
        distributed.all_reduce(gradient)
        gradient /= NUM_PROCESSES
    return gradients


def _loss(module: nn.Module, x: Tensor) -> Tensor:
    torch.default_generator.manual_seed(0)
    return loss_of(tensors_of(module(x)))
