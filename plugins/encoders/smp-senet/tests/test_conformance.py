"""Everything that smp-core asks of an encoder."""

import pytest

from smp_testing import collect, conformance

# se_resnext50_32x4d has every kind of block of the family, but for the stem of senet154.
test_conformance = conformance("smp-senet", numbers_up_to=26_000_000, traced_up_to=26_000_000, surgery=[])

_LARGE = [
    check
    for check in collect("smp-senet", numbers_up_to=120_000_000, traced_up_to=120_000_000)
    if check.case.name == "senet154" and check.check.traces
]


@pytest.mark.slow
@pytest.mark.parametrize("check", _LARGE, ids=lambda check: check.id)
def test_large_encoders_are_traced(check):
    check.run()
