"""Which licences a distribution states: in its metadata, and by the texts that it ships."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Sequence
from dataclasses import dataclass

# Of a licence's text: what no other one says, and the identifiers that it may have. The first that fits counts.
_TEXTS = (
    ("GNU AFFERO GENERAL PUBLIC LICENSE", ("AGPL-3.0-only", "AGPL-3.0-or-later")),
    ("GNU LESSER GENERAL PUBLIC LICENSE", ("LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later")),
    ("GNU GENERAL PUBLIC LICENSE", ("GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later")),
    ("Mozilla Public License", ("MPL-2.0",)),
    ("European Union Public Licence", ("EUPL-1.2",)),
    ("Attribution-NonCommercial", ("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-4.0")),
)
_RESTRICTED = {identifier for _, identifiers in _TEXTS for identifier in identifiers}
_OPERATORS = {"AND", "OR", "WITH"}
_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+")


@dataclass(frozen=True)
class Stated:
    """A licence that a distribution states, which asks something of those who use it.

    Attributes:
        where: in its metadata, or a file.
        identifiers: which it may be, by SPDX.
    """

    where: str
    identifiers: tuple[str, ...]


def identifiers_in(expression: str) -> list[str]:
    """The SPDX identifiers in an expression."""
    return [word for word in _IDENTIFIER.findall(expression) if word.upper() not in _OPERATORS]


def wrong_expression(expression: str) -> str | None:
    """Why a text is no SPDX expression; None where it is one, or where the installed packaging cannot tell."""
    try:
        from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
    except ImportError:  # before packaging 24.2
        return None
    try:
        canonicalize_license_expression(expression)
    except InvalidLicenseExpression as error:
        return str(error)
    return None


def restrictions_of(distribution: str) -> list[Stated]:
    """The licences that a distribution states and that do not merely ask to be named: copyleft and non-commercial ones.

    Others do not contradict each other: a distribution under the MIT licence may wrap code under Apache-2.0.
    """
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return []
    fields = ("License-Expression", "License")  # the latter of older metadata
    expression = next((str(found.metadata[name]) for name in fields if name in found.metadata), "")
    named = tuple(item for item in identifiers_in(expression) if item in _RESTRICTED)
    stated = [Stated(f"License-Expression: {expression}", named)] if named else []
    for file in found.files or ():
        if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
            try:
                text = file.read_text()
            except (OSError, UnicodeDecodeError):  # listed, and not there
                continue
            stated += [Stated(str(file), identifiers) for identifiers in _named_by(text)]
    return stated


def _named_by(text: str) -> Sequence[tuple[str, ...]]:
    # The first lines name it; further down licences name others.
    beginning = " ".join(text[:500].split()).casefold()
    return [identifiers for title, identifiers in _TEXTS if title.casefold() in beginning][:1]
