"""What is done to a model has to take effect in its fast forms, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smp_core.layers import use_form


@pytest.fixture(autouse=True, scope="module")
def fast_forms() -> Iterator[None]:
    """The fast form also at small sizes, where it is not the faster one."""
    with use_form("upsample_conv3x3", "transposed"), use_form("layout", "channels_last"):
        yield
