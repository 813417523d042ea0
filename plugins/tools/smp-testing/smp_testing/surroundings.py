"""The state of the process that a plugin must leave alone: reading it, comparing it, putting it back."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class _Setting:
    """One piece of global state; ``write`` is None where nothing can put it back, or where something else does."""

    title: str
    read: Callable[[], Any]
    write: Callable[[Any], object] | None


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


_CUDNN_FLAGS = ("enabled", "benchmark", "deterministic")


def _set_cudnn_flags(values: tuple[bool, ...]) -> None:
    for name, value in zip(_CUDNN_FLAGS, values, strict=True):
        setattr(torch.backends.cudnn, name, value)


def _set_environment(values: dict[str, str]) -> None:
    for name in set(os.environ) - set(values):
        del os.environ[name]
    os.environ.update(values)


def _set_root_handlers(values: list[logging.Handler]) -> None:
    logging.root.handlers[:] = values


_SETTINGS = (
    _Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    _Setting("torch's default device", torch.get_default_device, _set_default_device),
    _Setting("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
    _Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
    _Setting("torch's number of inter-op threads", torch.get_num_interop_threads, None),
    _Setting(
        "torch's deterministic algorithms (used, warn only)",
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    ),
    _Setting(
        "torch's float32 matmul precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    ),
    _Setting(
        "cuDNN's flags (enabled, benchmark, deterministic)",
        lambda: tuple(getattr(torch.backends.cudnn, name) for name in _CUDNN_FLAGS),
        _set_cudnn_flags,
    ),
    _Setting("autograd's anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    _Setting("warnings.filters", lambda: list(warnings.filters), None),
    _Setting("os.environ", lambda: dict(os.environ), _set_environment),
    _Setting("sys.path", lambda: list(sys.path), lambda value: sys.path.__setitem__(slice(None), value)),
    _Setting("the working directory", os.getcwd, os.chdir),
    _Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Setting("the root logger's level", lambda: logging.root.level, logging.root.setLevel),
    _Setting("the root logger's handlers", lambda: [*logging.root.handlers], _set_root_handlers),
)


class Surroundings:
    """What the settings were when this was made. Random number generators are not among them: drawing is allowed."""

    def __init__(self) -> None:
        self._values = {setting.title: setting.read() for setting in _SETTINGS}

    def changes(self) -> list[str]:
        """What differs now, one line a setting: what it was and what it is."""
        found = []
        for setting in _SETTINGS:
            before, after = self._values[setting.title], setting.read()
            if before != after:
                found.append(f"{setting.title}: {_difference(before, after)}")
        return found

    def restore(self) -> None:
        """Put back what differs."""
        for setting in _SETTINGS:
            before = self._values[setting.title]
            if setting.write is not None and setting.read() != before:
                setting.write(before)


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Put everything back afterwards, the CPU's random number generator included: what one check meets, all meet."""
    surroundings = Surroundings()
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            surroundings.restore()


def _difference(before: Any, after: Any) -> str:
    if isinstance(before, Mapping):
        names = sorted({*before, *after})
        parts = [
            f"{name} was {before.get(name)!r}, is {after.get(name)!r}"
            for name in names
            if before.get(name) != after.get(name)
        ]
        return "; ".join(parts)
    if isinstance(before, list):
        added = [item for item in after if item not in before]
        removed = [item for item in before if item not in after]
        return f"added {added}, removed {removed}" if added or removed else "another order"
    return f"was {before!r}, is {after!r}"
