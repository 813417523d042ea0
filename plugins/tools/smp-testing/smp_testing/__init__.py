"""The checks that every encoder, neck and architecture of smp-core must pass, driven by what its spec declares.

Names are exported lazily: the fresh processes in which plugins are imported must stay as light as a plugin is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smp_testing.check import BoundCheck
    from smp_testing.collection import collect
    from smp_testing.expectations import ConformanceError
    from smp_testing.parametrisation import conformance
    from smp_testing.report import CheckResult, PluginReport
    from smp_testing.validation import check_plugin

__version__ = "1.0.0"

__all__ = ["BoundCheck", "CheckResult", "ConformanceError", "PluginReport", "check_plugin", "collect", "conformance"]

_HOME = {
    "BoundCheck": "check",
    "CheckResult": "report",
    "ConformanceError": "expectations",
    "PluginReport": "report",
    "check_plugin": "validation",
    "collect": "collection",
    "conformance": "parametrisation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
