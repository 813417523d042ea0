"""An optimizer's state from a model of segmentation_models_pytorch, for the same model here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from smp_core.errors import CheckpointError
from smp_core.tensors.spelling import all_keys, to_published
from smp_core.tensors.unwrapping import unwrap

_BUFFERS = (".running_mean", ".running_var", ".num_batches_tracked")


def carry_optimizer_state(
    optimizer_state: Mapping[str, Any],
    state_dict: Mapping[str, Tensor],
    model: nn.Module,
    *,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The state of an optimizer over a model of segmentation_models_pytorch, for one over the same model here.

    An optimizer's state goes by the numbers of the parameters. Models there have parameters that nothing runs (stages
    beyond the depth, layers of the classifier), and ours have not; theirs are left out, and the rest numbered anew::

        checkpoint = torch.load("epoch=9.ckpt", weights_only=True)
        model.load_state_dict(checkpoint["state_dict"])
        state = smp_compat.carry_optimizer_state(checkpoint["optimizer_states"][0], checkpoint["state_dict"], model)
        optimizer.load_state_dict(state)

    Args:
        optimizer_state: ``optimizer.state_dict()`` of there; not changed.
        state_dict: the model's from there, in its order, also with a prefix on all keys (Lightning's).
        model: the same model here.
        names: the names of the parameters in the order in which the optimizer got them there, where that was another
            than the model's: of each group in turn.

    Returns:
        The state for an optimizer that gets the parameters of the model here in the same groups.

    Raises:
        CheckpointError: the three do not belong together.
    """
    own, tensors = _parameters(model), _unwrapped(state_dict, model)
    saved = list(names) if names is not None else [name for name in tensors if not name.endswith(_BUFFERS)]
    groups = optimizer_state["param_groups"]
    numbers = [number for group in groups for number in group["params"]]
    if len(numbers) != len(saved):
        raise CheckpointError(
            f"the optimizer's state is of {len(numbers)} parameters, and the state dict has {len(saved)}; pass names= "
            "of the parameters that the optimizer was given, in their order"
        )
    name_of = dict(zip(numbers, saved, strict=True))
    _check(optimizer_state["state"], name_of, tensors)
    absent = [name for name in own if name not in tensors] if names is None else []
    if absent:
        raise CheckpointError(
            f"the state dict lacks {len(absent)} of the model's parameters, {absent[0]!r} first: it is of another model"
        )
    place = {name: index for index, name in enumerate(own)}
    state: dict[int, Any] = {}
    result: list[dict[str, Any]] = []
    for group in groups:
        kept = sorted((item for item in group["params"] if name_of[item] in place), key=lambda x: place[name_of[x]])
        first = sum(len(item["params"]) for item in result)
        state |= {
            first + index: optimizer_state["state"][number]
            for index, number in enumerate(kept)
            if number in optimizer_state["state"]
        }
        result.append({**group, "params": list(range(first, first + len(kept)))})
    return {**optimizer_state, "state": state, "param_groups": result}


def _parameters(model: nn.Module) -> list[str]:
    """The names of the parameters under which they are published, in the order of ``model.parameters()``."""
    published = to_published(model, model.state_dict(keep_vars=True))
    names = {id(tensor): name for name, tensor in published.items()}
    return [names[id(parameter)] for parameter in model.parameters()]


def _unwrapped(state_dict: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """A state dict in its order, without what wraps all of its names."""
    prefix = unwrap(state_dict, all_keys(model))[2]
    start = f"{prefix.rstrip('.')}." if prefix else ""
    return {key[len(start) :]: tensor for key, tensor in state_dict.items() if key.startswith(start)}


def _check(state: Mapping[int, Any], name_of: Mapping[int, str], tensors: Mapping[str, Tensor]) -> None:
    """Whether what is kept of the parameters has their shapes."""
    for number, name in name_of.items():
        tensor = tensors.get(name)
        for key, value in state.get(number, {}).items():
            if tensor is not None and isinstance(value, Tensor) and value.dim() and value.shape != tensor.shape:
                raise CheckpointError(
                    f"the optimizer's {key} of parameter {number} is {tuple(value.shape)}, and {name!r} "
                    f"{[*tensor.shape]}: pass names= of the parameters that the optimizer was given, in their order"
                )
