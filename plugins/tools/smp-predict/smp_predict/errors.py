"""What can go wrong when images are predicted.

    PredictError
    ├── OptionError (ValueError)               an argument makes no sense, or does not fit the image
    ├── SourceError (ValueError)               an image cannot be read
    ├── SinkError (ValueError)                 a result cannot be written where it should be
    ├── ModelOutputError (ValueError)          the model returns no maps of a fixed ratio to its input
    ├── UnknownFormatError (ValueError)        no format has a file's extension
    ├── ClusterError (RuntimeError)            a cluster cannot be reached, or a worker was lost too often
    └── MissingDependencyError (ImportError)   an optional package is needed

Each takes its message alone, so that it passes from a worker process to its caller as it is.
"""

from __future__ import annotations


class PredictError(Exception):
    """Base of all errors of this package."""


class OptionError(PredictError, ValueError):
    """An argument makes no sense, or does not fit the image."""


class SourceError(PredictError, ValueError):
    """An image cannot be read."""


class SinkError(PredictError, ValueError):
    """A result cannot be written where it should be."""


class ModelOutputError(PredictError, ValueError):
    """The model returns no maps of a fixed ratio to its input."""


class UnknownFormatError(PredictError, ValueError):
    """No format has the extension of a file."""


class ClusterError(PredictError, RuntimeError):
    """A cluster cannot be reached, has no room, or a worker was lost too often."""


class MissingDependencyError(PredictError, ImportError):
    """An optional package is needed; the message says what to install."""
