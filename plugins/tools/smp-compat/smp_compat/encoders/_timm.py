"""Encoders of timm by name of the model, as classes that make what smp-timm makes."""

from __future__ import annotations


class MadeByTimm(type):
    """The type of classes whose instances are smp-timm's: they are asked whether something is one of theirs."""

    def __instancecheck__(cls, instance: object) -> bool:
        from smp_timm.base import TimmBased

        return isinstance(instance, TimmBased) and bool(getattr(instance, "tokens", False)) is cls.tokens

    tokens: bool = False
