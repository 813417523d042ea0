"""What people do to built modules, of everything that is installed; the plugins' own tests have a sample of it."""

from __future__ import annotations

import pytest

import smp_core
from smp_testing import collect
from smp_testing.expectations import NotApplicable

# timm's own layers answer for what it builds; these call their parts.
_OF_OPEN_FAMILIES = {"smp-timm": ["tu-test_resnet", "tu-test_convnext"]}
_LARGEST = 150_000_000

_DISTRIBUTIONS = [item.distribution for item in smp_core.plugins() if item.status == "ok"]


@pytest.mark.slow
@pytest.mark.parametrize("distribution", dict.fromkeys(_DISTRIBUTIONS))
def test_surgery(distribution: str) -> None:
    opened = _OF_OPEN_FAMILIES.get(distribution, [])
    failed = []
    for check in collect(distribution, encoders=opened, numbers_up_to=_LARGEST, surgery=opened if opened else None):
        if check.check.surgery:
            try:
                check.run()
            except NotApplicable:
                pass
            except Exception as error:  # whatever a plugin raises; all of it is listed
                failed.append(f"{check.id}: {type(error).__name__}: {error}")
    assert not failed, "\n".join(failed)
