"""Keywords that segmentation_models_pytorch swallowed, or handed to the encoder: which they are."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from smp_cli.move.arguments import Given
from smp_cli.move.entries import Arguments
from smp_core.registry import index

# Of the first-party encoders, those of this distribution alone take options, timm's own.
_OPEN = "smp-timm"


def sort_keywords(
    given: Sequence[Given], arguments: Arguments, name: str, encoder: str | None
) -> tuple[frozenset[str], list[str]]:
    """Which keywords of a call are the encoder's, and notes on them and on those that nobody knows.

    Args:
        given: the arguments of the call.
        arguments: what is known of them.
        name: what is called.
        encoder: its name, where the call says it.
    """
    if not arguments.closed:
        return frozenset(), []
    known = [*arguments.names, *arguments.former]
    unknown = [item.name for item in given if item.keyword and item.name not in known]
    takes = bool(arguments.rest) and encoder is not None and index.encoder_owner(encoder) == _OPEN
    of_encoder, notes = set(), []
    for keyword in unknown:
        nearest = difflib.get_close_matches(keyword, known, n=1, cutoff=0.75)
        if takes and not nearest:
            of_encoder.add(keyword)
            notes.append(f"{keyword} is for the encoder: it must be an argument of timm's model")
            continue
        note = f"{keyword} is no parameter of {name} in segmentation_models_pytorch 0.6.0"
        if nearest:
            note += f"; did you mean {nearest[0]}?"
        elif arguments.rest and encoder is None:
            note += f", and nothing says that the encoder takes it; if it does, write {arguments.rest}={{...}}"
        elif arguments.rest and index.encoder_owner(encoder or "") is None:
            note += f", and the encoder {encoder} is not known; if it takes it, write {arguments.rest}={{...}}"
        elif arguments.rest:
            note += f", and the encoder {encoder} takes no options: leave it out"
        notes.append(note)
    return frozenset(of_encoder), notes
