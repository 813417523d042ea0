"""What was chosen as the weights of an encoder, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HUB_PREFIX = "hf-hub:"


@dataclass(frozen=True)
class HubRepository:
    """A Hub repository that a user names: ``"hf-hub:owner/name@revision"``."""

    repo_id: str
    revision: str | None

    def __str__(self) -> str:
        return f"{HUB_PREFIX}{self.repo_id}{f'@{self.revision}' if self.revision else ''}"


Place = Path | HubRepository


@dataclass(frozen=True)
class Chosen:
    """What ``encoder_weights`` was found to mean: a weight set of the encoder, a place, or the set from that place."""

    name: str | None = None
    place: Place | None = None

    def __str__(self) -> str:
        if self.name is None:
            return f"{'file' if isinstance(self.place, Path) else 'weights'} {str(self.place)!r}"
        return f"weights {self.name!r}" + (f" from {str(self.place)!r}" if self.place is not None else "")
