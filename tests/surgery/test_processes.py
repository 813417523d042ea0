"""Distributed training of models with parts that exist for SMP's keys alone, which must not wait for a gradient."""

from __future__ import annotations

import pytest

from smp_testing import collect

OF_ATTENTION = {"decoder_attention_type": "scse"}


@pytest.mark.parametrize("architecture", ["unet", "unetplusplus"])
@pytest.mark.parametrize("check", ["trains_in_two_processes", "trains_sharded"])
def test_with_attention(architecture: str, check: str) -> None:
    checks = {item.id: item for item in collect(f"smp-{architecture}", options={architecture: OF_ATTENTION})}
    checks[f"{architecture}-pyramid-{check}"].run()
