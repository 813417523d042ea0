"""The two spellings of a state dict: ours, by our module names, and that of published weights.

An encoder whose module names differ from those under which its weights are published has one table, from its own keys
to the published ones; the other direction follows from it, as every own key is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor

Renames = Sequence[tuple[str, str]]
"""(regular expression, replacement) pairs from an own key to the published one, all applied, in order (`re.sub`)."""


def published_key(key: str, renames: Renames) -> str:
    r"""The published spelling of one of our keys.

    >>> published_key("stages.0.conv.weight", [(r"^stages\.(\d+)\.", r"stage\1.")])
    'stage0.conv.weight'
    """
    for pattern, replacement in renames:
        key = re.sub(pattern, replacement, key)
    return key


def to_published(state_dict: Mapping[str, Tensor], renames: Renames) -> dict[str, Tensor]:
    """A new dict with the published keys; the tensors are the same."""
    return {published_key(key, renames): value for key, value in state_dict.items()}


def to_own(state_dict: Mapping[str, Tensor], own_keys: Iterable[str], renames: Renames) -> dict[str, Tensor]:
    """A new dict with our keys, from either spelling; keys that are neither stay as they are.

    Args:
        state_dict: with published keys, or with ours.
        own_keys: all keys of the module's own state dict.
        renames: the table.
    """
    own = set(own_keys)
    if not renames or own <= state_dict.keys():
        return dict(state_dict)
    names = {published_key(key, renames): key for key in own}
    return {names.get(key, key): value for key, value in state_dict.items()}


def change_keys_under(
    prefix: str, state_dict: Mapping[str, Tensor], change: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """A new dict in which ``change`` has been applied to the part under a prefix, whose keys it sees without it."""
    inside = {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)}
    outside = {key: value for key, value in state_dict.items() if not key.startswith(prefix)}
    return {**{prefix + key: value for key, value in change(inside).items()}, **outside}
