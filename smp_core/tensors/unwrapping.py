"""A state dict out of what a training program wrapped around it: mappings that hold it, and prefixes on its keys.

Nothing is decided by a name alone, as a model may well have a part of its own that is called ``model`` or ``encoder``:
of everything that could be meant, what counts is how many of the model's own keys are there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from smp_core.tensors.torch_files import Unread, state_dict_of

__all__ = ["WRAPPERS", "find_state_dict", "unwrap"]

_TRANSPARENT = ("module", "_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module")
"""What data parallelism, `torch.compile` and checkpointing put around a module, at any place in a model."""

WRAPPERS = (*_TRANSPARENT, "model", "net", "network", "backbone", "encoder", "ema", "ema_model", "model_ema")
"""Segments under which training programs keep a model.

A prefix of other segments is found as well, but what is under it has to be more convincing.
"""

_DEEPEST_MAPPING = 4
_LONGEST_PREFIX = 16  # segments

_MIDDLE = re.compile(rf"\.(?:{'|'.join(_TRANSPARENT)})\.")

# As a word of its own, also in camel case: "semantic" and "schema" are no averages.
_AVERAGED = re.compile(r"(?<![a-z])ema(?![a-z])|(?<![A-Z])E(?:MA|ma)(?![a-z])")


def find_state_dict(content: Any, own: Collection[str]) -> tuple[dict[str, Tensor], str]:
    """The state dict in whatever a training program saved.

    Looked at are the content, the mappings in it, up to 4 deep, and the placeholders of modules that were pickled as a
    whole. The one that has most of the own keys after `unwrap` is taken; of equal ones averaged weights (``ema``), then
    the less deep, then the earlier one. Where none has any own key, as before a conversion, the largest is taken that
    is not an optimizer's.

    Args:
        content: what `smp_core.tensors.torch_files.read_torch_file` returned; never changed.
        own: the keys of the model's own state dict, in every spelling.

    Returns:
        The state dict, without entries that are not tensors under a str, and its place: empty for the content itself,
        else a dotted path such as ``ema.model``. ``({}, "")`` where there is none.

    Raises:
        WeightsError: a module that was pickled as a whole is not one of a real model.
    """
    names = _Names(own)
    best: tuple[dict[str, Tensor], str] = ({}, "")
    highest: tuple[int, ...] | None = None
    for candidate, path in _candidates(content):
        overlap = names.best_prefix(candidate)[1]
        score = (overlap, 0 if overlap else _weight(candidate, path), bool(_AVERAGED.search(path)))
        # They come by depth and in order, so an equal one that comes later is worse.
        if highest is None or score > highest:
            best, highest = (candidate, path), score
    return best


def _weight(candidate: dict[str, Tensor], path: str) -> int:
    return 0 if "optim" in path.lower() else len(candidate)


def unwrap(state_dict: Mapping[str, Tensor], own: Collection[str]) -> tuple[dict[str, Tensor], dict[str, Tensor], str]:
    """Split a state dict into what is the model's, with its own keys, and the rest.

    The prefix is the one under which most own keys are found; of equal ones that of averaged weights, then the
    shortest. Segments of wrappers in the middle of a key (``encoder._orig_mod.conv.weight``) are left out where that
    makes it an own one.

    Args:
        state_dict: of the model, possibly wrapped, or of what the model is a part of; never changed.
        own: the keys of the model's own state dict, in every spelling.

    Returns:
        What is under the prefix, without it; what is not, as it was; and the prefix, which ends with a dot unless it is
        empty. Where no own key is found, the prefix is empty and everything is inside.
    """
    names = _Names(own)
    prefix, _ = names.best_prefix(state_dict)
    inside = {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)}
    outside = {key: value for key, value in state_dict.items() if not key.startswith(prefix)}
    return names.without_wrappers(inside), outside, prefix


@dataclass(frozen=True)
class _Place:
    """Something that may be or hold a state dict, and where it is."""

    value: Any
    path: str
    depth: int


def _candidates(content: Any) -> Iterator[tuple[dict[str, Tensor], str]]:
    """All that could be a state dict, the less deep first."""
    waiting, seen = [_Place(content, "", 0)], set()
    for place in waiting:
        # A mapping may hold itself.
        if id(place.value) in seen:
            continue
        seen.add(id(place.value))
        if isinstance(place.value, Unread):
            candidate = state_dict_of(place.value)
        elif isinstance(place.value, Mapping):
            named = {key: value for key, value in place.value.items() if isinstance(key, str)}
            candidate = {key: value for key, value in named.items() if isinstance(value, Tensor)}
            if place.depth < _DEEPEST_MAPPING:
                waiting += (
                    _Place(value, f"{place.path}.{key}".lstrip("."), place.depth + 1)
                    for key, value in named.items()
                    if isinstance(value, (Mapping, Unread))
                )
        else:
            continue
        if candidate:
            yield candidate, place.path


class _Names:
    """The own keys of a model, and how they are found in keys that are wrapped."""

    def __init__(self, own: Collection[str]) -> None:
        self._own = frozenset(own)
        self._first_segments = {key.partition(".")[0] for key in self._own}

    def best_prefix(self, state_dict: Mapping[str, Tensor]) -> tuple[str, int]:
        """The prefix under which most own keys are, and how many; empty where there are none."""
        found: dict[str, set[str]] = {"": set()}
        for key in state_dict:
            for start in self._starts(key):
                match = self._match(key[start:])
                if match is not None:
                    found.setdefault(key[:start], set()).add(match)
        ranked = sorted(found, key=lambda prefix: (-len(found[prefix]), not _AVERAGED.search(prefix), len(prefix)))
        best = next(prefix for prefix in ranked if self._convinces(prefix, len(found[prefix]), state_dict))
        return best, len(found[best])

    def _starts(self, key: str) -> Iterator[int]:
        """Where an own key may begin in a key: at its beginning, and after a dot."""
        start = 0
        for segment in key.split(".", _LONGEST_PREFIX + 1)[: _LONGEST_PREFIX + 1]:
            if segment in self._first_segments:
                yield start
            start += len(segment) + 1

    def _convinces(self, prefix: str, overlap: int, state_dict: Mapping[str, Tensor]) -> bool:
        # A block of a model has parts that are called like those of a whole one: under "layer1.0." there is a
        # "conv1.weight". So under a name that nothing is known of, own keys must be many, or most of what is there.
        if 4 * overlap >= len(self._own) or all(segment in WRAPPERS for segment in prefix.split(".")[:-1]):
            return True
        return 2 * overlap > sum(key.startswith(prefix) for key in state_dict)

    def without_wrappers(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """A new dict in which keys are own ones where leaving out wrappers makes them so; no entry is lost."""
        names: dict[str, str] = {}
        taken = set(state_dict)
        for key in state_dict:
            match = self._match(key)
            if match is not None and match not in taken:
                names[key] = match
                taken.add(match)
        return {names.get(key, key): value for key, value in state_dict.items()}

    def _match(self, key: str) -> str | None:
        """The own key that this one is, possibly after leaving out wrappers in the middle of it."""
        if key in self._own:
            return key
        bare = _bare(key)
        if bare == key:
            return None
        parts = key.split(".")
        matches = [name for name in self._by_bare_key.get(bare, ()) if _is_within(name.split("."), parts)]
        # The model may have parts that are called like wrappers: as little as possible is left out.
        return max(matches, key=len, default=None)

    @cached_property
    def _by_bare_key(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for key in sorted(self._own):
            names.setdefault(_bare(key), []).append(key)
        return names


def _bare(key: str) -> str:
    """A key without the wrappers in its middle: what is first is a prefix, what is last names a tensor."""
    if _MIDDLE.search(key) is None:
        return key
    first, *middle, last = key.split(".")
    return ".".join([first, *(segment for segment in middle if segment not in _TRANSPARENT), last])


def _is_within(parts: list[str], others: list[str]) -> bool:
    """Whether one list is what remains of the other when some of its items are left out."""
    remaining = iter(others)
    return all(part in remaining for part in parts)
