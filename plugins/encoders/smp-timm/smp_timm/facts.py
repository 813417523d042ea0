"""What is known of a timm model before it is built. Nothing here imports torch or timm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A set of pretrained weights, as timm's own metadata has it.

    Attributes:
        name: as in ``"resnet50.a1_in1k"``; empty where timm gives the weights no name.
        repo_id: Hugging Face Hub repository, or empty.
        filename: file in it; empty for the usual one.
        url: where the file is, for the few that are in no repository.
        mean, std: of the input that they were trained on, per channel.
        license: as timm writes it; empty where it does not say.
    """

    name: str
    repo_id: str = ""
    filename: str = ""
    url: str = ""
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    license: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A timm model, measured (`smp_timm.probing`) and as timm's own metadata describes it.

    Attributes:
        name: as timm lists it.
        module: the module of timm that registers it.
        kind: class of the model; its arguments are those that users may choose.
        reductions, channels: of its pyramid; a plain transformer, or whatever keeps one resolution, has one of each.
        positions: of a pyramid's features among all that timm counts; empty where these are the first ones.
        blocks: of what keeps one resolution, the last ones, which are alike; 0 for a pyramid.
        prefix_tokens: how many its sequence has.
        input_size: height and width that it was made for.
        build: arguments that free it from that size.
        multiple: what height and width must divide by; images are padded to that.
        least: the least height and width; images are padded to that.
        resized: its features are not exactly as large as the reductions say, and are resampled to that.
        fixed: it takes its own size alone; images are resampled to that, and features back.
        dilation: output strides that it can be dilated to.
        any_channels: whether it can be built for other than 3 input channels.
        first_convolutions: names of the layers that see the input, in the whole model.
        parameters: their number, without what only a classifier needs.
        tags: weights, timm's default ones first.
    """

    name: str
    module: str
    kind: str
    reductions: tuple[int, ...]
    channels: tuple[int, ...]
    positions: tuple[int, ...] = ()
    blocks: int = 0
    prefix_tokens: int = 0
    input_size: tuple[int, int] = (224, 224)
    build: Mapping[str, Any] = field(default_factory=dict)
    multiple: int = 1
    least: int = 1
    resized: bool = False
    fixed: bool = False
    dilation: tuple[int, ...] = ()
    any_channels: bool = True
    first_convolutions: tuple[str, ...] = ()
    parameters: int = 0
    tags: tuple[Tag, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Without what is as by default."""
        return {key: value for key, value in _told(self).items() if key != "tags"} | (
            {"tags": [_told(tag) for tag in self.tags]} if self.tags else {}
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Facts:
        """The inverse of `to_json`."""
        tags = tuple(Tag(**_tuples(item)) for item in values.get("tags", ()))
        return cls(**_tuples(values) | {"tags": tags})


def _told(item: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for one in fields(item):
        value = getattr(item, one.name)
        default = one.default_factory() if callable(one.default_factory) else one.default
        if value != default:
            values[one.name] = list(value) if isinstance(value, tuple) else value
    return values


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
