"""What the doctor can say, and what it looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smp_cli.plugins.installed import Copy
from smp_core.registry import PluginRecord

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        severity: ``"error"`` (something does not work), ``"warning"`` (it may surprise), ``"note"``.
        kind: ``"broken"``, ``"partial"``, ``"slow"``, ``"noisy"``, ``"duplicate"``, ``"shadowed"``, ``"conflicting"``,
            ``"incompatible"``, ``"switch"``, ``"editable"``.
        distribution: whose it is; None of a switch, and of a conflict, whose message names all that have part in it.
        message: what is.
        remedy: what to do; empty where nothing need be done.
    """

    severity: str
    kind: str
    distribution: str | None
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Scene:
    """What is installed, and how this process was started.

    Attributes:
        records: what became of every plugin.
        copies: of their distributions, by normalised name.
        environment: the variables.
        commands: smp's own.
    """

    records: Sequence[PluginRecord]
    copies: Mapping[str, Sequence[Copy]]
    environment: Mapping[str, str]
    commands: Sequence[str]
