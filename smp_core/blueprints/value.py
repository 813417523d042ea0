"""The blueprint: everything that says which model is wanted, before any of it is built."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smp_core._specs.checks import EMPTY, Frozen, thawed
from smp_core._specs.chosen import Chosen
from smp_core._specs.registered import Registered
from smp_core._version import __version__
from smp_core.blueprints import changing, config
from smp_core.inputs import Preprocessing
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec


@dataclass(frozen=True, kw_only=True)
class Blueprint(Frozen):
    """Which model is wanted: a frozen value, without a tensor in it, checked when it was made.

    Made by `smp_core.blueprint`, or from a saved model's config by `from_config`; `smp_core.build` makes the model,
    whose ``blueprint`` it then is. Two are equal where all that they hold is.

    Attributes:
        architecture: its spec, and the distribution and version that provide it.
        encoder: likewise; None where the model is over a module that a user built.
        neck: likewise; None where there is none.
        depth: of the encoder: features down to a reduction of 2**depth, or that many features of a token encoder.
        output_stride: that the encoder is dilated to; None where the architecture asks for none.
        output_indices: the blocks of a token encoder whose outputs are the features; None leaves that to the encoder.
        encoder_options: further arguments of the encoder that the user chose, by name.
        in_channels: channels of the input.
        bands: names of these channels; None where nobody gave any.
        classes: channels of the mask.
        activation: of the mask: a name, a callable, or None.
        aux_params: of the classification head; None where there is none.
        options: the architecture's own, all of them, by name.
        weights: what the encoder's parameters are loaded from when the model is built; None for random ones. Of a saved
            model: what its encoder started from.
        channel_fitting: how pretrained weights are fitted to other input channels; see `smp_core.create`.
        preprocessing: how pixel values become the input; None where nobody says.
    """

    architecture: Registered[ArchitectureSpec]
    encoder: Registered[EncoderSpec] | None
    neck: Registered[NeckSpec] | None = None
    depth: int
    output_stride: int | None = None
    output_indices: tuple[int, ...] | None = None
    encoder_options: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    in_channels: int = 3
    bands: tuple[str, ...] | None = None
    classes: int = 1
    activation: str | Callable[..., object] | None = None
    aux_params: Mapping[str, Any] | None = None
    options: Mapping[str, Any]
    weights: Chosen | None = None
    channel_fitting: str = "smp"
    preprocessing: Preprocessing | None = None

    def to_config(self) -> dict[str, Any]:
        """What ``config.json`` of a saved model holds: SMP's keys, and under ``_smp_core`` who provided what.

        JSON-able, callables excepted.
        """
        values: dict[str, Any] = {
            "_model_class": self.architecture.spec.class_name,
            "encoder_name": self.encoder.spec.name if self.encoder is not None else None,
            "encoder_depth": self.depth,
            # A local path means nothing to whoever reads this.
            "encoder_weights": self.weights.name if self.weights is not None else None,
            "in_channels": self.in_channels,
            "classes": self.classes,
            "activation": self.activation,
            "aux_params": dict(self.aux_params) if self.aux_params is not None else None,
        }
        if self.architecture.spec.dilation and self.output_stride is not None:
            values["encoder_output_stride"] = self.output_stride
        if self.architecture.spec.tokens or self.output_indices is not None:
            values["encoder_output_indices"] = list(self.output_indices) if self.output_indices is not None else None
        values |= self.options
        values = thawed(values)
        values["_smp_core"] = {
            "smp_core": __version__,
            "torch": str(getattr(sys.modules.get("torch"), "__version__", None)),
            "architecture": _provenance(self.architecture),
            "encoder": _provenance(self.encoder) if self.encoder is not None else None,
            "preprocessing": self.preprocessing.to_dict() if self.preprocessing is not None else None,
        }
        if self.channel_fitting != "smp":
            values["_smp_core"]["channel_fitting"] = self.channel_fitting
        if self.bands is not None:
            values["_smp_core"]["bands"] = list(self.bands)
        if self.encoder_options:
            values["_smp_core"]["encoder_options"] = thawed(self.encoder_options)
        if self.neck is not None:
            values["_smp_core"]["neck"] = _provenance(self.neck)
        return copy.deepcopy(values)

    @classmethod
    def from_config(cls, values: Mapping[str, Any], *, encoder: Any = None, title: str = "the config") -> Blueprint:
        """The blueprint that a config describes, in today's spelling; the inverse of `to_config`.

        Args:
            values: what ``config.json`` holds, of ours or of segmentation_models_pytorch's; not changed.
            encoder: the built encoder, where the config names none.
            title: how errors call the config.

        Raises:
            CheckpointError: it is no config, or names no encoder.
            RegistryError: a name means nothing, or too much; says what to install.
            CreationError: it asks for what cannot be built; lists everything.
        """
        return cls(**config.read(values, encoder=encoder, title=title))

    def changed(self, *, encoder: Any = None, **changes: Any) -> Blueprint:
        """The blueprint with other values, checked as a whole.

        Args:
            encoder: the built encoder, where the blueprint names none.
            **changes: arguments of `smp_core.create`: any but those that name the parts and the encoder's weights.

        Raises:
            CreationError: lists everything that is wrong.
        """
        if not changes and encoder is None:
            return self
        return Blueprint(**changing.change(vars(self), changes, encoder))


def _provenance(part: Registered[Any]) -> dict[str, str]:
    return {"distribution": part.distribution, "version": part.version, "name": part.qualified_name}
