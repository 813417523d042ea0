"""An encoder that a user built, described as if it had a spec, so that one comparison serves both."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from smp_core.blueprints.request import Request
from smp_core.errors import CreationError, IncompatibleError, OptionError
from smp_core.plugin import ArchitectureSpec, EncoderSpec

_OF_ENCODER = ("encoder_depth", "encoder_output_stride", "encoder_output_indices")


def is_module(value: object) -> bool:
    """Whether it is an `nn.Module`; nobody has one who has not imported torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def check_given(named: object, encoder: object) -> None:
    """Whether a built encoder is given where a blueprint names none, and only there.

    Raises:
        OptionError: it is not.
    """
    if named is None and not is_module(encoder):
        raise OptionError(
            f"this model is over a module, not a named encoder: pass the built module as encoder=, got {encoder!r}"
        )
    if named is not None and encoder is not None:
        raise OptionError("this blueprint names its encoder, which encoder= cannot change; make another blueprint")


def as_encoder(
    module: Any, architecture: ArchitectureSpec, request: Request
) -> tuple[EncoderSpec, Request, list[CreationError]]:
    """The spec that a built encoder would have, the request with what the encoder settles, and what is wrong with it.

    Raises:
        EncoderProtocolError: it is no encoder.
        IncompatibleError: its features are no pyramid at all, so that there is no such spec.
    """
    from smp_core.encoder import check_encoder  # whoever has a module has imported torch

    check_encoder(module)
    found: list[CreationError] = []
    if request.encoder_weights not in (True, None, False):
        found.append(
            OptionError(
                f"encoder_weights={request.encoder_weights!r} goes with an encoder's name; a module comes with its "
                "own: pass None"
            )
        )
    own = getattr(module, "in_channels", request.in_channels or 3)
    if request.in_channels not in (None, 3, own):
        found.append(OptionError(f"in_channels={request.in_channels}, but the encoder given has in_channels={own}"))
    if any(getattr(request, name) is not None for name in _OF_ENCODER):
        found.append(OptionError(f"{', '.join(_OF_ENCODER)} go with an encoder's name; a module is built already"))
    spec = _spec(module, architecture)
    stride = max(spec.reductions) if max(spec.reductions) in architecture.dilation else None
    settled = replace(
        request, in_channels=own, encoder_depth=None, encoder_output_stride=stride, encoder_output_indices=None
    )
    return spec, settled, found


def _spec(module: Any, architecture: ArchitectureSpec) -> EncoderSpec:
    name = type(module).__name__.lstrip("_") or "module"
    reductions, channels = tuple(module.reductions), tuple(module.out_channels)
    tokens = bool(getattr(module, "tokens", False))
    if not tokens:
        last = dict(zip(reductions, channels, strict=True))  # a dilated encoder repeats its last reduction
        if len(last) < len(reductions) and not architecture.dilation:
            raise IncompatibleError(
                f"architecture {architecture.name!r} needs strictly increasing reductions; "
                f"encoder {name!r} has {reductions}"
            )
        reductions, channels = tuple(last), tuple(last.values())
    depth = max(len(reductions) if tokens else max(reductions).bit_length() - 1, 1)
    return EncoderSpec(
        name=name,
        target="torch.nn:Module",  # built already: never called
        out_channels=channels,
        reductions=reductions,
        tokens=tokens,
        min_depth=depth,
        max_depth=depth,
    )
