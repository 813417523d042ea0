"""What fine-tuning of big backbones needs, for every encoder that names its stages: see `smp_core.Encoder`.

Freezing, parameter groups with rates that fall towards the stem, and recomputing activations. `SegmentationModel` has a
method for each; these functions know no family.
"""

from __future__ import annotations

import contextlib
import math
import numbers
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from torch import nn

from smp_core.errors import OptionError
from smp_core.layers.recomputing import blocks_of, start_recomputing, stop_recomputing
from smp_core.tensors.spelling import encoder_of


class Frozen(NamedTuple):
    """What `freeze` did, so that `unfreeze` can undo it.

    Attributes:
        parts: names of the parts of the encoder that are frozen, ``""`` for the whole.
        parameters: names of the encoder's parameters that were trainable before.
    """

    parts: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


def stages_of(encoder: nn.Module, needed_for: str) -> list[list[str]]:
    """What ``encoder.stage_modules()`` says, checked.

    Args:
        encoder: without a neck.
        needed_for: what the error says that it is needed for.

    Raises:
        OptionError: it says nothing, names what is not there, or does not name every parameter once.
    """
    title = type(encoder).__name__
    stages: list[list[str]] | None = None
    if hasattr(encoder, "stage_modules"):
        with contextlib.suppress(NotImplementedError):  # of `smp_core.encoder.EncoderBase`
            stages = encoder.stage_modules()  # type: ignore[operator]
    if stages is None:
        raise OptionError(
            f"{title} does not name its stages, which {needed_for} needs; give it a method stage_modules() -> "
            "list[list[str]]: the names of its submodules, stage by stage, stem first"
        )
    problems = list(_problems(encoder, [name for stage in stages for name in stage]))
    if problems:
        more = f", and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise OptionError(
            f"{title}.stage_modules() is wrong, which {needed_for} needs: {', '.join(problems[:4])}{more}; expected "
            "every parameter to lie under exactly one name"
        )
    return stages


def _problems(encoder: nn.Module, names: Sequence[str]) -> Iterator[str]:
    missing = [name for name in names if not name or _part(encoder, name) is None]
    if missing:
        yield from (f"{name!r} is neither a submodule nor a parameter" for name in missing)
        return
    for index, name in enumerate(names):
        if name in names[:index] or any(name.startswith(f"{other}.") for other in names):
            yield f"{name!r} is named twice"
    named = {id(parameter) for name in names for parameter in _parameters(encoder, name)}
    yield from (f"{name!r} is left out" for name, item in encoder.named_parameters() if id(item) not in named)


def _part(encoder: nn.Module, name: str) -> nn.Module | nn.Parameter | None:
    """A submodule or a parameter; ``""`` is the encoder itself, None what is not there."""
    try:
        found = operator.attrgetter(name)(encoder) if name else encoder
    except (AttributeError, TypeError):
        return None
    return found if isinstance(found, (nn.Module, nn.Parameter)) else None


def _parameters(encoder: nn.Module, name: str) -> Iterable[nn.Parameter]:
    part = _part(encoder, name)
    if isinstance(part, nn.Module):
        return part.parameters()
    return () if part is None else (part,)


# --- freezing


def freeze(encoder: nn.Module, stages: int | None, before: Frozen) -> Frozen:
    """Take the gradients of an encoder or of its first stages, in place of what was frozen before.

    Args:
        encoder: without a neck.
        stages: how many, or None for the whole.
        before: what an earlier call returned.

    Raises:
        OptionError: more stages than there are, none, or an encoder that does not name them. Nothing is changed then.
    """
    parts = ("",) if stages is None else tuple(_first(encoder, stages))
    unfreeze(encoder, before)
    chosen = {id(parameter) for part in parts for parameter in _parameters(encoder, part)}
    found = [
        (name, parameter)
        for name, parameter in encoder.named_parameters()
        if id(parameter) in chosen and parameter.requires_grad
    ]
    for _, parameter in found:
        parameter.requires_grad_(False)
    return Frozen(parts, tuple(name for name, _ in found))


def unfreeze(encoder: nn.Module, frozen: Frozen) -> None:
    """Undo `freeze`; what its user took out of the encoder since is let go."""
    for name in frozen.parameters:
        for parameter in _parameters(encoder, name):
            parameter.requires_grad_(True)


def hold_statistics(encoder: nn.Module, frozen: Frozen) -> None:
    """Put the normalisation layers of what is frozen into evaluation mode, in which their statistics do not move."""
    for name in frozen.parts:
        part = _part(encoder, name)
        for module in part.modules() if isinstance(part, nn.Module) else ():
            if hasattr(module, "running_mean"):
                module.training = False


def _first(encoder: nn.Module, count: int) -> Iterator[str]:
    """The names of the first stages."""
    stages = stages_of(encoder, "freeze_encoder(stages=...)")
    try:
        wanted = 0 if isinstance(count, bool) else operator.index(count)
    except TypeError:
        wanted = 0
    if not 1 <= wanted <= len(stages):
        raise OptionError(
            f"stages must be an int in 1..{len(stages)}, or None for the whole encoder, got {count!r}; "
            f"{type(encoder).__name__} has {len(stages)} stages: {_described(stages)}"
        )
    return (name for names in stages[:wanted] for name in names)


def _described(stages: Sequence[Sequence[str]]) -> str:
    """``"1 (conv1, bn1), 2 (layer1)"``; of many names the first and the last."""
    return ", ".join(
        f"{number} ({', '.join(names) if len(names) <= 4 else f'{names[0]} to {names[-1]}'})"
        for number, names in enumerate(stages, 1)
    )


# --- parameter groups


def parameter_groups(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float = 0.01,
    layer_decay: float | None = None,
    encoder_lr: float | None = None,
) -> list[dict[str, Any]]:
    """The trainable parameters of a model, each once, as groups for any of torch's optimizers.

    Args:
        model: an `smp_core.SegmentationModel`.
        lr: learning rate of decoder, heads and neck, and of the encoder unless ``encoder_lr`` says another.
        weight_decay: of parameters of two dimensions and more; others (norms, biases, layer scales), and those that the
            encoder names in ``no_weight_decay``, get none.
        layer_decay: the encoder's last stage has its rate times this, the stage before it this squared, and so on down
            to the stem (Bao et al., BEiT, arXiv:2106.08254); None for one rate for the whole encoder.
        encoder_lr: learning rate of the encoder, before ``layer_decay``.

    Returns:
        Dicts of ``params``, ``lr``, ``weight_decay`` and ``name``: ``"encoder"``, or ``"encoder.stage1"`` to the last;
        ``"neck"``, ``"decoder"``, ``"segmentation_head"``, ``"classification_head"``; with ``".no_decay"`` for those
        without weight decay. Frozen parameters are left out, and groups that would be empty.

    Raises:
        OptionError: lists every value that is wrong. Or ``layer_decay`` for an encoder that does not name its stages.
    """
    _check(lr, weight_decay, layer_decay, encoder_lr)
    encoder: nn.Module = encoder_of(model)[0]
    rate = lr if encoder_lr is None else encoder_lr
    spared: Iterable[str] = getattr(encoder, "no_weight_decay", tuple)()
    undecayed = {id(parameter) for name in spared for parameter in _parameters(encoder, name)}
    groups: list[dict[str, Any]] = []
    seen: set[int] = set()
    parts = (*_encoder_parts(encoder, rate, layer_decay), *_other_parts(model, encoder, lr))
    for name, part_rate, parameters in parts:
        new = [item for item in parameters if item.requires_grad and id(item) not in seen]
        new = list({id(item): item for item in new}.values())
        seen.update(map(id, new))
        decayed = [item for item in new if item.ndim > 1 and id(item) not in undecayed]
        plain = [item for item in new if item.ndim <= 1 or id(item) in undecayed]
        for title, members, decay in ((name, decayed, weight_decay), (f"{name}.no_decay", plain, 0.0)):
            if members:
                groups.append({"params": members, "lr": part_rate, "weight_decay": decay, "name": title})
    return groups


_Part = tuple[str, float, Iterable[nn.Parameter]]


def _encoder_parts(encoder: nn.Module, rate: float, layer_decay: float | None) -> Iterator[_Part]:
    if layer_decay is None:
        yield "encoder", rate, encoder.parameters()
        return
    stages = stages_of(encoder, "parameter_groups(layer_decay=...)")
    for index, names in enumerate(stages):
        parameters = [parameter for name in names for parameter in _parameters(encoder, name)]
        yield f"encoder.stage{index + 1}", rate * layer_decay ** (len(stages) - index), parameters


def _other_parts(model: nn.Module, encoder: nn.Module, lr: float) -> Iterator[_Part]:
    """What is not the encoder; its parameters may come again, within the neck's and the model's."""
    for name, child in model.named_children():
        if child is not encoder:
            yield "neck" if name == "encoder" else name, lr, child.parameters()
    yield "model", lr, model.parameters()


def _check(lr: object, weight_decay: object, layer_decay: object, encoder_lr: object) -> None:
    wrong = [
        f"{name} must be a number of at least 0, got {value!r}"
        for name, value in (("lr", lr), ("weight_decay", weight_decay), ("encoder_lr", encoder_lr))
        if not (_is_number(value) or (value is None and name == "encoder_lr"))
    ]
    if layer_decay is not None and not (_is_number(layer_decay) and 0 < layer_decay <= 1):  # type: ignore[operator]
        wrong.append(f"layer_decay must be a number above 0 and at most 1, or None, got {layer_decay!r}")
    if wrong:
        raise OptionError("; ".join(wrong))


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return math.isfinite(value) and float(value) >= 0


# --- recomputing


def set_gradient_checkpointing(encoder: nn.Module, enabled: bool = True) -> None:
    """Keep or recompute an encoder's activations for the backward pass; see `smp_core.layers.recomputing`.

    Recomputed are the blocks of its stages, one by one, while they are trained; or what the encoder's own
    `set_gradient_checkpointing` chooses.

    Args:
        encoder: without a neck.
        enabled: False gives every block what it had before.

    Raises:
        OptionError: an encoder that does not name its stages, or has no blocks in them.
    """
    own: Callable[[bool], object] | None = getattr(encoder, "set_gradient_checkpointing", None)
    if own is not None:
        own(bool(enabled))
    else:
        recompute_blocks(encoder, enabled)


def recompute_blocks(encoder: nn.Module, enabled: bool) -> None:
    """As `set_gradient_checkpointing` without asking the encoder; for those that ask this where they have blocks.

    Raises:
        OptionError: as there.
    """
    if not enabled:
        stop_recomputing(encoder)
        return
    names = [name for stage in stages_of(encoder, "set_gradient_checkpointing") for name in stage]
    parts = [_part(encoder, name) for name in names]
    blocks = [block for part in parts if isinstance(part, nn.Module) for block in blocks_of(part)]
    if not blocks:
        raise OptionError(
            f"{type(encoder).__name__} has no blocks to recompute: its stages are single layers; give it a method "
            "set_gradient_checkpointing(enabled: bool), which lets forward run stretches of them by "
            "smp_core.layers.recomputing.recompute"
        )
    start_recomputing(blocks)
