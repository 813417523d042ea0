from smp_testing import conformance

test_conformance = conformance("acme-smp-stairs", surgery=[])
