"""Checks of a token encoder's contract: the blocks that are asked for, and their prefix tokens."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from smp_core.errors import OptionError
from smp_core.factory import create_encoder
from smp_testing.cases import EncoderCase
from smp_testing.expectations import ConformanceError, NotApplicable, expect, expect_close, expect_equal, expect_runs


def prefix_tokens_are_counted(case: EncoderCase) -> None:
    """Beside each feature are as many prefix tokens as the module's ``num_prefix_tokens`` says, 1 by default."""
    module = case.shared_outline()
    with torch.no_grad():
        found = {tokens.shape[1] for tokens in module(case.image(1))[1]}
    number = int(getattr(module, "num_prefix_tokens", 1))
    expect(
        found == {number},
        f"{case.name}: expected {number} prefix tokens beside every feature, as num_prefix_tokens says (1 where the "
        f"module does not say), got {sorted(found)}",
    )


def output_indices_are_honoured(case: EncoderCase) -> None:
    """``output_indices=[i, j]`` gives the outputs of blocks i and j, in that order; -1 is the last."""
    if case.spec.min_depth > 1:
        raise NotApplicable(f"{case.name} has at least {case.spec.min_depth} features, so that no block is seen alone")
    single = [_features(case, [block])[0] for block in range(min(case.spec.max_depth, 3))]
    for block, (one, other) in enumerate(itertools.pairwise(single)):
        expect(
            not torch.equal(one, other),
            f"{case.name}: output_indices=[{block}] and [{block + 1}] give the same; expected two blocks' outputs",
        )
    together = _features(case, [*range(len(single))])
    expect_close(
        together, single, f"{case.name}: with output_indices={[*range(len(single))]}, against each block alone"
    )
    last = _features(case, [-1])[0]
    default = _features(case, None)
    expect_close([last], default[-1:], f"{case.name}: with output_indices=[-1], against the last feature by default")


def _features(case: EncoderCase, indices: Sequence[int] | None) -> list[Tensor]:
    depth = case.default_depth if indices is None else len(indices)
    torch.default_generator.manual_seed(0)
    module = expect_runs(lambda: _build(case, indices, depth), f"{case.name} with output_indices={indices}").eval()
    x = case.image(1)
    with torch.no_grad():
        # One that builds fewer blocks for fewer indices draws others; the same blocks get the same weights.
        generator = torch.Generator()
        for name, parameter in module.named_parameters():
            generator.manual_seed(zlib.crc32(name.encode()))
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * parameter[0].numel() ** -0.5)
        features = case.features(module, x)
    expect_equal(len(features), depth, f"{case.name} with output_indices={indices}: number of features")
    return features


def _build(case: EncoderCase, indices: Sequence[int] | None, depth: int) -> Any:
    return create_encoder(case.registered.qualified_name, depth=depth, output_indices=indices, weights=None)


def wrong_output_indices_are_refused(case: EncoderCase) -> None:
    """A block that there is not, and one that is named twice, are OptionErrors."""
    depth = max(case.spec.min_depth, 2)
    if depth > case.spec.max_depth:
        raise NotApplicable(f"{case.name} has one feature, so that no block can be named twice")
    for what, indices in (("beyond the last block", [*range(depth - 1), 10_000]), ("twice the first", [0] * depth)):
        try:
            _build(case, indices, depth)
        except OptionError:
            continue
        except Exception as error:  # whatever a plugin raises
            raise ConformanceError(
                f"{case.name} with output_indices={indices} ({what}): {type(error).__name__}: {error}; expected an "
                "smp_core.errors.OptionError"
            ) from error
        raise ConformanceError(
            f"{case.name} takes output_indices={indices} ({what}); expected an smp_core.errors.OptionError"
        )
