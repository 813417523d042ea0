"""Segmentation of images of any size, from any source, at constant memory.

Names are imported when they are used, so that a plugin's light module can import `smp_predict.plugin` without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smp_predict.arrays import ArraySink, ArraySource
    from smp_predict.errors import (
        ClusterError,
        MissingDependencyError,
        ModelOutputError,
        OptionError,
        PredictError,
        SinkError,
        SourceError,
        UnknownFormatError,
    )
    from smp_predict.finishing import ModelOutputWarning
    from smp_predict.formats import open_source, readable_suffixes
    from smp_predict.many import predict_many
    from smp_predict.options import Options
    from smp_predict.predicting import predict
    from smp_predict.progress import Progress
    from smp_predict.protocols import Placement, Result, Sink, Source, Window
    from smp_predict.running import BatchHalvedWarning
    from smp_predict.tally import ManyProgress, Outcome

__version__ = "1.0.0"

_HOMES = {
    "arrays": ("ArraySink", "ArraySource"),
    "errors": (
        "ClusterError",
        "MissingDependencyError",
        "ModelOutputError",
        "OptionError",
        "PredictError",
        "SinkError",
        "SourceError",
        "UnknownFormatError",
    ),
    "finishing": ("ModelOutputWarning",),
    "formats": ("open_source", "readable_suffixes"),
    "many": ("predict_many",),
    "options": ("Options",),
    "predicting": ("predict",),
    "progress": ("Progress",),
    "protocols": ("Placement", "Result", "Sink", "Source", "Window"),
    "running": ("BatchHalvedWarning",),
    "tally": ("ManyProgress", "Outcome"),
}

__all__ = [
    "ArraySink",
    "ArraySource",
    "BatchHalvedWarning",
    "ClusterError",
    "ManyProgress",
    "MissingDependencyError",
    "ModelOutputError",
    "ModelOutputWarning",
    "OptionError",
    "Options",
    "Outcome",
    "Placement",
    "PredictError",
    "Progress",
    "Result",
    "Sink",
    "SinkError",
    "Source",
    "SourceError",
    "UnknownFormatError",
    "Window",
    "open_source",
    "predict",
    "predict_many",
    "readable_suffixes",
]


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"smp_predict.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
