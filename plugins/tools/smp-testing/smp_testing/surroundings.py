"""The state of the process that a plugin must leave alone: reading it, comparing it, putting it back."""

from __future__ import annotations

import contextlib
import gc
import locale
import logging
import os
import random
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.modules import module as torch_module

from smp_testing import patches


@dataclass(frozen=True)
class _Setting:
    """One piece of global state; ``write`` is None where nothing can put it back, or where something else does.

    ``differs`` says in words how two values differ, and nothing if they do not.
    """

    title: str
    read: Callable[[], Any]
    write: Callable[[Any], object] | None
    differs: Callable[[Any, Any], str] | None = None

    def difference(self, before: Any, after: Any) -> str:
        """What differs, in words; empty if nothing does."""
        if self.differs is not None:
            return self.differs(before, after)
        return _difference(before, after) if before != after else ""


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


def _global_hooks() -> dict[str, dict[Any, Any]]:
    found = {name: value for name, value in vars(torch_module).items() if name.startswith("_global_")}
    return {name: dict(value) for name, value in found.items() if isinstance(value, dict)}


def _set_global_hooks(values: dict[str, dict[Any, Any]]) -> None:
    for name, hooks in values.items():
        found = vars(torch_module)[name]
        found.clear()
        found.update(hooks)


_SIGNALS = tuple(sorted(signal.valid_signals()))


def _signal_handlers() -> dict[str, Any]:
    return {_name_of(number): signal.getsignal(number) for number in _SIGNALS}


def _set_signal_handlers(values: dict[str, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():  # Python lets no other one do it
        return
    for number in _SIGNALS:
        handler = values[_name_of(number)]
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _name_of(number: int) -> str:
    return number.name if isinstance(number, signal.Signals) else str(number)


_PATIENCE = 0.1


def _left_running(before: list[threading.Thread], after: list[threading.Thread]) -> str:
    new = [thread for thread in after if thread not in before]
    for thread in new:
        thread.join(_PATIENCE)
    return ", ".join(f"{thread.name} was left running" for thread in new if thread.is_alive())


class _Forks:
    """How often this process was forked; what starts another program is not counted."""

    def __init__(self) -> None:
        self.number = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_parent=self._count)

    def _count(self) -> None:
        self.number += 1


_FORKS = _Forks()


def _replacements(before: patches.Names, after: patches.Names) -> str:
    return ", ".join(f"{name} was replaced" for name in patches.replaced(before, after))


def _set_printing(values: tuple[Any, Any, Any]) -> None:
    sys.stdout, sys.stderr, sys.excepthook = values


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
    _Setting("torch's hooks of all modules", _global_hooks, _set_global_hooks),
    _Setting("functions of torch and Python", patches.names, patches.put_back, _replacements),
    _Setting("warnings.filters", lambda: list(warnings.filters), None),
    _Setting("os.environ", lambda: dict(os.environ), _set_environment),
    _Setting("sys.path", lambda: list(sys.path), lambda value: sys.path.__setitem__(slice(None), value)),
    _Setting("the working directory", os.getcwd, os.chdir),
    _Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Setting("handlers of signals", _signal_handlers, _set_signal_handlers),
    _Setting("threads", threading.enumerate, None, _left_running),
    _Setting("times that the process was forked", lambda: _FORKS.number, None),
    _Setting("sys.stdout, sys.stderr, sys.excepthook", lambda: (sys.stdout, sys.stderr, sys.excepthook), _set_printing),
    _Setting("whether garbage is collected", gc.isenabled, lambda value: gc.enable() if value else gc.disable()),
    _Setting("sockets' timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
    _Setting(
        "the locale", lambda: locale.setlocale(locale.LC_ALL), lambda value: locale.setlocale(locale.LC_ALL, value)
    ),
    _Setting("logging.disable", lambda: logging.root.manager.disable, logging.disable),
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
            difference = setting.difference(self._values[setting.title], setting.read())
            if difference:
                found.append(f"{setting.title}: {difference}")
        return found

    def restore(self) -> None:
        """Put back what differs."""
        for setting in _SETTINGS:
            before = self._values[setting.title]
            if setting.write is not None and (setting.differs is not None or setting.read() != before):
                setting.write(before)


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Put everything back afterwards, generators of random numbers included: what one check meets, all meet."""
    surroundings, generators = Surroundings(), random_states()
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            surroundings.restore()
            _set_random_states(generators)


def random_states() -> dict[str, Any]:
    """The states of the generators of random numbers other than torch's, by who has them."""
    states: dict[str, Any] = {"Python's": random.getstate()}
    numpy: Any = sys.modules.get("numpy.random")  # where nobody has imported it, it has none
    if numpy is not None:
        kind, keys, *others = numpy.get_state()
        states["NumPy's"] = (kind, tuple(keys.tolist()), *others)
    return states


def seed_generators(seed: int) -> None:
    """Seed the generators of random numbers other than torch's."""
    random.seed(seed)
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed(seed)


def _set_random_states(states: Mapping[str, Any]) -> None:
    random.setstate(states["Python's"])
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None and "NumPy's" in states:
        numpy.set_state(states["NumPy's"])


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
