"""A model in evaluation mode for as long as somebody predicts with it, from however many threads."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn


@dataclass
class _Visit:
    """Who is predicting with a model, and the modes that its modules had before."""

    count: int = 0
    modes: list[tuple[nn.Module, bool]] = field(default_factory=list)


_lock = threading.Lock()
_visits: weakref.WeakKeyDictionary[nn.Module, _Visit] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode within the block; the last that leaves it restores the mode of every module.

    Were it each that restored what it found, one thread would go on in training mode, and move the statistics of norms,
    once another is done.
    """
    with _lock:
        visit = _visits.setdefault(model, _Visit())
        if visit.count == 0:
            visit.modes = [(module, module.training) for module in model.modules()]
            model.eval()
        visit.count += 1
    try:
        yield
    finally:
        with _lock:
            visit.count -= 1
            if visit.count == 0:
                # From the whole to its parts, by calls, of which a module may make more than a flag.
                for module, training in visit.modes:
                    if module.training != training:
                        module.train(training)
                _visits.pop(model, None)
