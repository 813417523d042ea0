"""What holds for all tests of the losses."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes depends on who else uses the machine; it is no failure.
settings.register_profile(
    "smp", deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("smp")
