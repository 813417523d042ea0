"""The older spelling of DenseNet's state-dict keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

_Value = TypeVar("_Value")

# Published files from before 2018 number the layers of a dense layer behind a dot, as in
# "features.denseblock1.denselayer1.norm.1.weight"; module names have had no dots since.
_OLD_KEY = re.compile(r"(\.denselayer\d+\.(?:norm|relu|conv))\.([12])\.")


def current_keys(state_dict: Mapping[str, _Value]) -> dict[str, _Value]:
    """A new dict in which keys of the older spelling have the present one; all others stay as they are.

    >>> current_keys({"features.denseblock1.denselayer1.norm.1.weight": 0})
    {'features.denseblock1.denselayer1.norm1.weight': 0}
    """
    return {_OLD_KEY.sub(r"\1\2.", key): value for key, value in state_dict.items()}
