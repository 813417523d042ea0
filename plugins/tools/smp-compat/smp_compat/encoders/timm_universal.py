"""Every model of timm as an encoder."""

from __future__ import annotations

from typing import Any

from smp_compat.encoders._getting import get_encoder
from smp_compat.encoders._timm import MadeByTimm, refuse_subclass
from smp_core.encoder import EncoderBase

__all__ = ["TimmUniversalEncoder"]


class TimmUniversalEncoder(metaclass=MadeByTimm):
    """Makes the encoder ``tu-<name>`` of smp-timm, which is what `isinstance` takes for one of this class."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        refuse_subclass(cls)

    def __new__(  # type: ignore[misc]
        cls,
        name: str,
        pretrained: bool = True,
        in_channels: int = 3,
        depth: int = 5,
        output_stride: int = 32,
        **kwargs: Any,
    ) -> EncoderBase:
        """Build it; see `smp_compat.encoders.get_encoder`."""
        weights = "imagenet" if pretrained else None
        made = get_encoder(f"tu-{name}", in_channels, depth, weights, output_stride, **kwargs)
        assert isinstance(made, EncoderBase)
        return made
