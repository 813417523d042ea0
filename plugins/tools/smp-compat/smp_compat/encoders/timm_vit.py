"""Plain transformers of timm as encoders."""

from __future__ import annotations

from typing import Any

import smp_core
from smp_compat._errors import keys_as_in_smp
from smp_compat._not_provided import raises_for
from smp_compat.encoders._timm import MadeByTimm, refuse_subclass
from smp_core.encoder import EncoderBase

__all__ = ["TimmViTEncoder"]


class TimmViTEncoder(metaclass=MadeByTimm):
    """Makes the encoder ``tu-<name>`` of smp-timm, which is what `isinstance` takes for one of this class."""

    tokens = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        refuse_subclass(cls)

    def __new__(  # type: ignore[misc]
        cls,
        name: str,
        pretrained: bool = True,
        in_channels: int = 3,
        depth: int = 4,
        output_indices: list[int] | None = None,
        **kwargs: Any,
    ) -> EncoderBase:
        """Build it; see `smp_core.create_encoder`."""
        with keys_as_in_smp():
            made = smp_core.create_encoder(
                f"tu-{name}",
                weights="imagenet" if pretrained else None,
                in_channels=in_channels,
                depth=depth,
                output_indices=output_indices,
                options=kwargs or None,
            )
        assert isinstance(made, EncoderBase)
        return made


__getattr__ = raises_for(__name__)
