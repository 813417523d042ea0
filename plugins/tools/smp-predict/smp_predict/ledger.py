"""Which results of many a former run has finished: a hidden file in the folder of results."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

from smp_predict.identity import digest_of, digest_of_file
from smp_predict.options import Options
from smp_predict.planning import Given

_NAME = ".smp-predict-done.jsonl"


class Ledger:
    """A line for each finished result, with a digest of all that it depends on.

    Only images that are files are written down: what another one holds cannot be told from its name.

    Args:
        folder: of results.
        options: of the run.
        model: a digest of the model.
        resume: whether to believe what is written there.
    """

    def __init__(self, folder: Path, options: Options, model: str, *, resume: bool) -> None:
        self._path = folder / _NAME
        # What a function is shown as has its address in it.
        own = digest_of(options.preprocessing)
        self._run = f"{replace(options, preprocessing=None)!r} {own} {model}"
        self._done: dict[str, str] = {}
        if resume:
            self._done = self._read()
        else:
            self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, str]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return {}
        return dict(filter(None, map(_entry, lines)))

    def has(self, name: str, given: Given, target: Path) -> bool:
        """Whether a former run with the same arguments has finished a result of this very file."""
        return name in self._done and target.exists() and self._done[name] == self._digest(given)

    def add(self, name: str, given: Given) -> None:
        """A result is finished."""
        digest = self._digest(given)
        if digest is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"name": name, "digest": digest}))
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Everything is done: the next run begins anew."""
        self._path.unlink(missing_ok=True)

    def _digest(self, given: Given) -> str | None:
        if not isinstance(given, (str, os.PathLike)):
            return None
        try:
            text = f"{self._run} {digest_of_file(given)}"
        except OSError:
            return None
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _entry(line: str) -> tuple[str, str] | None:
    """Name and digest; None: it is empty, or the last line of a run that was killed."""
    try:
        entry = json.loads(line)
        return str(entry["name"]), str(entry["digest"])
    except (ValueError, TypeError, KeyError):
        return None
