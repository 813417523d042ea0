from smp_testing import conformance

test_conformance = conformance("nordic-smp-regnet", numbers_up_to=1_000_000, traced_up_to=1_000_000, surgery=[])
