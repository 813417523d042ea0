"""Everything that smp-core asks of an encoder."""

import pytest

from smp_testing import collect, conformance

# Tracing inceptionresnetv2 takes long; inceptionv4 is built of the same layers.
test_conformance = conformance("smp-inception", numbers_up_to=60_000_000, traced_up_to=45_000_000, surgery=[])

_LARGE = [
    check
    for check in collect("smp-inception", numbers_up_to=120_000_000, traced_up_to=120_000_000)
    if check.case.name == "inceptionresnetv2" and check.check.traces
]


@pytest.mark.slow
@pytest.mark.parametrize("check", _LARGE, ids=lambda check: check.id)
def test_large_encoders_are_traced(check):
    check.run()
