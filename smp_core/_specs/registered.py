"""A spec together with who provides it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Generic, TypeVar

from smp_core._specs.architecture import ArchitectureSpec
from smp_core._specs.command import CommandSpec
from smp_core._specs.encoder import EncoderSpec
from smp_core._specs.neck import NeckSpec

Spec = TypeVar("Spec", EncoderSpec, ArchitectureSpec, NeckSpec, CommandSpec)

_WORDS: dict[type, str] = {
    EncoderSpec: "encoder",
    ArchitectureSpec: "architecture",
    NeckSpec: "neck",
    CommandSpec: "command",
}


@dataclass(frozen=True)
class Registered(Generic[Spec]):
    """A spec and the distribution that registered it."""

    spec: Spec
    distribution: str
    version: str

    @property
    def qualified_name(self) -> str:
        """``"<distribution>/<name>"``, which means this spec whatever else is installed."""
        return f"{normalise(self.distribution)}/{self.spec.name}"

    @property
    def kind(self) -> str:
        """``"encoder"``, ``"architecture"``, ``"neck"`` or ``"command"``."""
        return _WORDS[type(self.spec)]

    @property
    def title(self) -> str:
        """How errors call it: ``"encoder 'smp-resnet/resnet34'"``."""
        return f"{self.kind} {self.qualified_name!r}"


def normalise(distribution: str) -> str:
    """The spelling under which distribution names are compared (lower case, runs of ``-_.`` as one ``-``)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
