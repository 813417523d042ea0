"""What users write for a timm model. Nothing here imports torch or timm."""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "tu-"

# What segmentation_models_pytorch once had classes of its own for, and today takes from timm.
_FORMER_PREFIX = "timm-"
_FORMER = {
    "regnet": "regnet",
    "res2net": "res2net",
    "res2next": "res2next",
    "resnest": "resnest",
    "gernet": "gernet",
    "mobilenetv3": "tf_mobilenetv3",
}


class Name(NamedTuple):
    """A name of ours, taken apart.

    Attributes:
        model: of timm's.
        tag: of its weights; None where the name has none.
        today: how it is written today.
    """

    model: str
    tag: str | None
    today: str


def parse(name: str) -> Name | None:
    """``"tu-<model>"``, ``"tu-<model>.<tag>"``, or a former ``"timm-<model>"``; None where it is neither."""
    if name.startswith(PREFIX):
        model, dot, tag = name.removeprefix(PREFIX).partition(".")
        return Name(model, tag if dot else None, name)
    rest = name.removeprefix(_FORMER_PREFIX)
    if rest == name:
        return None
    for former, today in _FORMER.items():
        if rest.startswith(former):
            model = today + rest.removeprefix(former)
            return Name(model, None, PREFIX + model)
    return None
