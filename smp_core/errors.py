"""Every exception that smp-core raises on purpose.

::

    SmpError
    ├── RegistryError                   a name could not be turned into a spec
    │   ├── UnknownEncoderError         (LookupError) nobody provides this encoder
    │   ├── UnknownArchitectureError    (LookupError) nobody provides this architecture
    │   ├── UnknownNeckError            (LookupError) nobody provides this neck
    │   ├── UnknownCommandError         (LookupError) nobody provides this command
    │   ├── MissingPluginError          (LookupError) a known plugin provides it, but is not installed or disabled
    │   └── NameConflictError           several plugins provide it
    ├── PluginError                     a plugin is broken
    │   └── InvalidSpecError            (ValueError) a spec contradicts itself; names every wrong field
    ├── CreationError                   a model could not be built as asked
    │   ├── IncompatibleError           (ValueError) the encoder lacks what the architecture needs
    │   │   └── BlueprintError          (also an OptionError) several things are wrong, of both kinds
    │   ├── OptionError                 (TypeError, ValueError) an unknown option or a wrong value
    │   └── EncoderProtocolError        (TypeError) a module does not satisfy the Encoder protocol
    ├── InputError                      (ValueError) a tensor a model cannot take
    ├── WeightsError                    (OSError) pretrained weights could not be fetched, verified or loaded
    └── CheckpointError                 (ValueError) a saved model could not be written or read

This module imports nothing, so that every other one may import it.
"""

from __future__ import annotations

__all__ = [
    "BlueprintError",
    "CheckpointError",
    "CreationError",
    "EncoderProtocolError",
    "IncompatibleError",
    "InputError",
    "InvalidSpecError",
    "MissingPluginError",
    "NameConflictError",
    "OptionError",
    "PluginError",
    "RegistryError",
    "SmpError",
    "UnknownArchitectureError",
    "UnknownCommandError",
    "UnknownEncoderError",
    "UnknownNeckError",
    "WeightsError",
]


# A plugin is a stranger's code: it may raise anything, even leave the program, and must fail alone.
FAILURES = (Exception, SystemExit)


# A message that repeats what a file or a name holds must not be a page of it, nor act on a terminal.
_LONGEST, _HEAD, _TAIL = 4_000, 3_000, 900


def readable(text: str) -> str:
    """A message as people can read it: cut where it is very long, control characters written out."""
    if len(text) > _LONGEST:
        text = f"{text[:_HEAD]} [... {len(text) - _HEAD - _TAIL} characters left out ...] {text[-_TAIL:]}"
    if text.isprintable():
        return text
    return "".join(
        item if item in "\n\t" or item.isprintable() else item.encode("unicode_escape").decode() for item in text
    )


class SmpError(Exception):
    """Base of all errors that smp-core raises on purpose. Their messages are cut beyond 4,000 characters."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(readable(item) if isinstance(item, str) else item for item in arguments))


class RegistryError(SmpError):
    """A name could not be turned into a spec.

    Attributes:
        explained: whether a plugin says so of whose open family the name is, and why it means nothing.
    """

    explained = False

    # LookupError's own subclasses quote their message (KeyError); ours are read by people.


class UnknownEncoderError(RegistryError, LookupError):
    """No installed plugin and no first-party distribution provides this encoder."""


class UnknownArchitectureError(RegistryError, LookupError):
    """No installed plugin and no first-party distribution provides this architecture."""


class UnknownNeckError(RegistryError, LookupError):
    """No installed plugin and no first-party distribution provides this neck."""


class UnknownCommandError(RegistryError, LookupError):
    """No installed plugin provides this command."""


class MissingPluginError(RegistryError, LookupError):
    """The name belongs to a known distribution that is not installed, or is disabled."""


class NameConflictError(RegistryError):
    """Several installed plugins provide the same name."""


class PluginError(SmpError):
    """A plugin is broken: it does not import, a hook raises, or returns what it must not."""


class InvalidSpecError(PluginError, ValueError):
    """A spec contradicts itself. The message lists every field that is wrong."""


class CreationError(SmpError):
    """A model could not be built as asked."""


class IncompatibleError(CreationError, ValueError):
    """The encoder lacks something that the architecture needs."""


class OptionError(CreationError, TypeError, ValueError):
    """An option that does not exist, or a value that it cannot take."""


class BlueprintError(IncompatibleError, OptionError):
    """Several things are wrong with what was asked for, options among them. The message lists them all."""


class EncoderProtocolError(CreationError, TypeError):
    """A module given as an encoder does not satisfy the Encoder protocol."""


class InputError(SmpError, ValueError):
    """A tensor whose shape or dtype the model cannot take."""


class WeightsError(SmpError, OSError):
    """Pretrained weights could not be fetched, verified or loaded."""


class CheckpointError(SmpError, ValueError):
    """A saved model could not be written or read."""
