"""What people do to built modules, of everything that is installed; the plugins' own tests have a sample of it."""

from __future__ import annotations

import pytest

import smp_core
from smp_testing import collect
from smp_testing.check import BoundCheck
from smp_testing.expectations import NotApplicable

# timm's own layers answer for what it builds; these two call their parts.
_OF_OPEN_FAMILIES = {"smp-timm": ["tu-test_resnet", "tu-test_convnext"]}
_LARGEST = 150_000_000


def _checks() -> list[BoundCheck]:
    owners = dict.fromkeys(item.distribution for item in smp_core.plugins() if item.status == "ok")
    return [
        check
        for owner in owners
        for check in collect(owner, encoders=_OF_OPEN_FAMILIES.get(owner, ()), numbers_up_to=_LARGEST)
        if check.check.surgery and not check.id.startswith(("tu-test_vit", "tu-test_efficientnet"))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("check", _checks(), ids=lambda check: check.id)
def test_surgery(check: BoundCheck) -> None:
    try:
        check.run()
    except NotApplicable as reason:
        pytest.skip(str(reason))
