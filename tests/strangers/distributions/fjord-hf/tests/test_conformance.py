from smp_testing import conformance

test_conformance = conformance("fjord-smp-hf", surgery=[])
