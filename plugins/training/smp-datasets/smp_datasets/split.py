"""Parts of a dataset that keep their files when files are added."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from smp_datasets.errors import OptionError

DEFAULT_FRACTIONS: Mapping[str, float] = MappingProxyType({"train": 0.8, "val": 0.1, "test": 0.1})


def split(
    names: Iterable[str],
    fractions: Mapping[str, float] = DEFAULT_FRACTIONS,
    *,
    seed: int = 0,
    group: Callable[[str], str] | None = None,
) -> dict[str, list[str]]:
    """Divide names among parts, each by its own hash alone.

    A name always falls into the same part, whatever other names there are, in whatever order, on any machine. Files
    that are added or removed therefore move no others. The price: parts have about, not exactly, the sizes asked for;
    of n names a part of fraction f gets f n give or take sqrt(f (1 - f) n). The hash is BLAKE2b of the seed and the
    name, the name in Unicode's composed form (NFC), since some systems store it otherwise.

    Parts lie in the order of ``fractions`` on a line from 0 to 1. Changing {"train": 0.8, "val": 0.2} to
    {"train": 0.8, "val": 0.1, "test": 0.1} leaves the training part as it was.

    Args:
        names: of files or whatever else.
        fractions: part -> its share; they add up to 1.
        seed: another one gives another division.
        group: name -> what it belongs to, such as a patient or a scene; what belongs together stays in one part.

    Returns:
        Part -> its names, in the order in which they came. Every part is there, even an empty one.

    Raises:
        OptionError: fractions below 0, or that do not add up to 1.

    >>> split(["a", "b", "c", "d", "e"], {"train": 0.6, "val": 0.4})
    {'train': ['a', 'b', 'c', 'd'], 'val': ['e']}
    >>> split(["p1/a", "p1/b", "p2/a"], {"train": 0.5, "val": 0.5}, group=lambda name: name.split("/")[0])
    {'train': ['p1/a', 'p1/b'], 'val': ['p2/a']}
    """
    total = math.fsum(fractions.values())
    if not fractions or not all(share >= 0 for share in fractions.values()) or not math.isclose(total, 1, abs_tol=1e-9):
        raise OptionError(f"fractions must be 0 or more and add up to 1, got {dict(fractions)} with the sum {total:g}")
    parts: dict[str, list[str]] = {part: [] for part in fractions}
    for name in names:
        parts[_part(position(group(name) if group else name, seed), fractions)].append(name)
    return parts


def position(name: str, seed: int = 0) -> float:
    """Where a name lies on the line from 0 (included) to 1 (excluded); see :func:`split`."""
    text = f"{seed}\0{unicodedata.normalize('NFC', name)}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    # 53 bits are what a float holds exactly; more could be rounded up to 1.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def _part(place: float, fractions: Mapping[str, float]) -> str:
    end = 0.0
    chosen = ""
    for part, share in fractions.items():
        if share == 0:
            continue
        chosen = part
        end += share
        # Sums such as 0.8 + 0.1 are a rounding error off; a name that close to a border would not care.
        if place < end:
            break
    return chosen
