"""Everything that smp-core asks of an encoder."""

import pytest

from smp_testing import collect, conformance

# dpn68 and dpn68b have every kind of block of the family, but for the 7x7 stem of wider ones.
test_conformance = conformance("smp-dpn", numbers_up_to=12_000_000, traced_up_to=12_000_000, surgery=[])

_LARGE = [
    check
    for check in collect("smp-dpn", numbers_up_to=120_000_000, traced_up_to=120_000_000)
    if check.case.name == "dpn92" and check.check.traces
]


@pytest.mark.slow
@pytest.mark.parametrize("check", _LARGE, ids=lambda check: check.id)
def test_large_encoders_are_traced(check):
    check.run()
