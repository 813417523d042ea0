"""What holds for all tests of the core."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from hypothesis import HealthCheck, settings

# Only the torch-free layer can be tested where there is no torch.
if importlib.util.find_spec("torch") is None:
    collect_ignore = [path.name for path in Path(__file__).parent.iterdir() if path.is_dir() and path.name != "light"]

# How long an example takes depends on who else uses the machine; it is no failure.
# The same examples in every run, so that what fails once fails again.
settings.register_profile(
    "smp",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("smp")
