"""From resolved names and a request to the fields of a blueprint: translated, compared, completed.

Each step is a module of its own, entered once; everything that is wrong is raised as one error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smp_core._specs.checks import frozen
from smp_core._specs.chosen import Chosen
from smp_core._specs.registered import Registered
from smp_core.blueprints import (
    architecture_options,
    channels,
    compatibility,
    encoder_options,
    findings,
    former,
    modules,
    necks,
)
from smp_core.blueprints.request import Request
from smp_core.errors import CreationError
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec
from smp_core.sources.weights import choose


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the names mean, and how they were written.

    Attributes:
        architecture, encoder, neck: with their distributions; ``encoder`` is None where a module is given, ``neck``
            where there is none.
        written: the names as the user wrote them, by argument; only of parts that have one.
        module: an encoder that is built already.
        default_necks: those that may be chosen where none is named and one is needed, the first that fits.
    """

    architecture: Registered[ArchitectureSpec]
    encoder: Registered[EncoderSpec] | None
    neck: Registered[NeckSpec] | None = None
    written: Mapping[str, str]
    module: Any = None
    default_necks: tuple[Registered[NeckSpec], ...] = ()

    def by_argument(self) -> dict[str, tuple[str, Registered[Any]]]:
        """Each named part: how it was written, and what that means."""
        meant = {"arch": self.architecture, "encoder": self.encoder, "neck": self.neck}
        return {name: (self.written[name], part) for name, part in meant.items() if part and name in self.written}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A request in today's spelling, with what follows from the parts, and everything that is wrong so far."""

    request: Request
    neck: Registered[NeckSpec] | None
    choice: compatibility.Choice
    weights: Chosen | None
    found: tuple[CreationError, ...]


def compare(parts: Parts, request: Request, *, saved: bool = False) -> Comparison:
    """Compare what is asked for with what the specs declare; nothing is imported, nothing raised for what is found.

    Args:
        parts: what is to be built.
        request: how.
        saved: whether the request was read from a saved model, whose former spellings are no news.

    Raises:
        EncoderProtocolError: a module is given that is no encoder.
    """
    found: list[CreationError] = []
    request, problems = former.translate(parts.architecture, parts.by_argument(), request, saved=saved)
    found += problems
    architecture = parts.architecture.spec
    if saved:
        takes_indices = architecture.tokens or architecture.accepts_tokens or parts.neck is not None
        request = former.without_swallowed(
            request, takes_stride=bool(architecture.dilation), takes_indices=takes_indices
        )
    request, problems = request.checked()
    found += problems
    if parts.encoder is None:
        encoder, request, wrong = modules.as_encoder(parts.module, architecture, request)
        found += wrong
    else:
        encoder = parts.encoder.spec
    request, problems = encoder_options.settle(parts.architecture, encoder, request, saved=saved)
    found += problems
    neck = parts.neck or necks.choose(architecture, encoder, request, parts.default_necks)
    choice, wrong = compatibility.settle(architecture, encoder, request, neck.spec if neck else None)
    found += wrong
    weights, problems = choose(encoder, None if saved or parts.encoder is None else request.encoder_weights)
    found += problems
    request, problems = channels.settle(encoder, weights, request)
    found += problems
    return Comparison(request=request, neck=neck, choice=choice, weights=weights, found=tuple(found))


def draft(
    parts: Parts, request: Request, *, saved: bool = False, before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The fields of the blueprint of a model.

    Args:
        parts, request, saved: as for `compare`.
        before: the architecture's own options that hold where the request does not name others.

    Raises:
        CreationError: lists everything that is wrong.
    """
    compared = compare(parts, request, saved=saved)
    request, choice, found = compared.request, compared.choice, compared.found
    if found and parts.architecture.spec.options is None:
        findings.refuse(found)  # before the implementation is imported to see its options
    options, problems = architecture_options.complete(
        parts.architecture,
        {**(before or {}), **request.options},
        saved=saved,
        encoder=parts.encoder.spec if parts.encoder else None,
    )
    findings.refuse([*found, *problems])
    return {
        "architecture": parts.architecture,
        "encoder": parts.encoder,
        "neck": compared.neck,
        "depth": choice.depth,
        "output_stride": choice.output_stride,
        "output_indices": choice.output_indices,
        "encoder_options": request.encoder_options,
        "in_channels": request.in_channels,
        "bands": request.bands,
        "classes": request.classes,
        "activation": request.activation,
        "aux_params": frozen(request.aux_params),
        "options": options,
        "weights": compared.weights,
        "channel_fitting": request.channel_fitting,
        "preprocessing": request.preprocessing,
    }
