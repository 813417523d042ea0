"""Encoders of timm by name of the model, as classes that make what smp-timm makes."""

from __future__ import annotations

from typing import NoReturn

from smp_compat._errors import NotProvidedError


class MadeByTimm(type):
    """The type of classes whose instances are smp-timm's: they are asked whether something is one of theirs."""

    def __instancecheck__(cls, instance: object) -> bool:
        from smp_timm.base import TimmBased

        return isinstance(instance, TimmBased) and bool(getattr(instance, "tokens", False)) is cls.tokens

    tokens: bool = False


def refuse_subclass(kind: type) -> NoReturn:
    """For ``__init_subclass__``: what is made is of another class, in which nothing of a subclass would be.

    Raises:
        NotProvidedError: always; it says what to do.
    """
    raise NotProvidedError(
        f"class {kind.__name__}({kind.__mro__[1].__name__}): encoders of timm are made by smp-timm, and nothing of a "
        "subclass would be in them; keep one in a module of your own, with its out_channels and reductions, and pass "
        'that to smp_core.create("unet", module), or put it into smp_compat.encoders.encoders'
    )
