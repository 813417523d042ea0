"""The encoders that a program has put into `smp_compat.encoders.encoders`, wherever one is named."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from smp_core.errors import OptionError, PluginError, UnknownEncoderError
from smp_core.plugin import EncoderSpec, hookimpl

# Where they are kept; until a program has imported it there are none, and it must not be imported at discovery.
_HOME = "smp_compat.encoders._registered"


@hookimpl
def smp_resolve_encoder(name: str) -> EncoderSpec | None:
    home = sys.modules.get(_HOME)
    try:
        spec: EncoderSpec | None = home.spec_of(name) if home is not None else None
    except (OptionError, PluginError) as error:
        raise UnknownEncoderError(f"it was registered, but {error}") from error
    return spec


@hookimpl
def smp_encoder_names() -> Iterable[str]:
    home = sys.modules.get(_HOME)
    return [*home.entries] if home is not None else []
