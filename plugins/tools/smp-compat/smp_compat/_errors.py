"""Errors that are ours and, where code written for SMP catches one of another type, of that type, too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from smp_core.errors import OptionError, SmpError, UnknownArchitectureError, UnknownEncoderError


class _PlainKeyError(KeyError):
    """A KeyError whose message reads as any other's."""

    def __str__(self) -> str:
        return Exception.__str__(self)


class UnknownNameError(_PlainKeyError, UnknownArchitectureError, UnknownEncoderError):
    """No such architecture, encoder or weight set; SMP raises KeyError."""


class NotProvidedError(SmpError, NotImplementedError):
    """Something of SMP's that is not provided here; the message says what to use."""


class SizeError(SmpError, RuntimeError):
    """A size of images that SMP refuses."""


@contextlib.contextmanager
def keys_as_in_smp() -> Iterator[None]:
    """Names that mean nothing are KeyErrors, as in SMP."""
    try:
        yield
    except (UnknownArchitectureError, UnknownEncoderError) as error:
        raise UnknownNameError(str(error)) from error
    except OptionError as error:
        if str(error).startswith("encoder_weights="):
            raise UnknownWeightsError(str(error)) from error
        raise


class UnknownWeightsError(_PlainKeyError, OptionError):
    """No such weight set of an encoder; SMP raises KeyError."""


class UnknownPretrainedError(OptionError):
    """No such weight set; SMP raises ValueError where preprocessing is asked for."""
