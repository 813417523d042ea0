"""What a line of the table says: what a name becomes, and what becomes of the arguments of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Arguments:
    """How the arguments of a call are carried over.

    Attributes:
        names: of segmentation_models_pytorch's parameters, in their order.
        positional: how many of them stay positional; the others become keywords.
        first: an argument before all others.
        defaults: what is written where a call leaves a parameter out, as the default there is another one.
        renamed: parameters that are called otherwise here.
        former: spellings that segmentation_models_pytorch deprecated: what they are called, and their values.
        rest: the parameter here that takes as a dict what a call has for the encoder.
        closed: whether segmentation_models_pytorch has no other parameters; then other keywords are said to be unknown.
        dropped: parameters without a counterpart.
        added: a keyword that is written in addition, where any of ``added_with`` is given, or always.
    """

    names: tuple[str, ...] = ()
    positional: int = 0
    first: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    former: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    rest: str = ""
    closed: bool = False
    dropped: tuple[str, ...] = ()
    added: tuple[str, str] | None = None
    added_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class Native:
    """What a name becomes.

    Attributes:
        target: the name here, or a whole expression; empty where there is none.
        reference: what it becomes where it is not called, if that is something else.
        arguments: how those of a call are carried over; None where they stay as they are.
        suffix: what follows a call.
        subscript: what ``name[key]`` becomes, with ``{}`` for the key.
        needs: the distributions.
        note: what to know.
        dict_note: what to know where arguments come from a dict.
        with_note: what to know where one of some arguments is given: these, and the note.
    """

    target: str = ""
    reference: str = ""
    arguments: Arguments | None = None
    suffix: str = ""
    subscript: str = ""
    needs: tuple[str, ...] = ("smp-core",)
    note: str = ""
    dict_note: str = ""
    with_note: tuple[tuple[str, ...], str] | None = None
