"""Each fault is one failure, of the check that says it, whatever else it makes fail; and what is right has none."""

import pytest
from mutants import MUTANTS

from smp_testing import check_plugin, collect
from smp_testing.declared import declared_by, reasons_of
from smp_testing.outcomes import result_of
from smp_testing.report import FAILURES

EACH = [(distribution, component) for distribution, found in MUTANTS.items() for component in found]
# What would fail many checks, or had failed others.
SAMPLE = [
    ("acme-wrong", "ReadsValues"),
    ("acme-wrong", "SetsEnvironment"),
    ("acme-wrong", "WritesIntoInput"),
    ("acme-wrong", "YieldsNan"),
    ("acme-wrong", "ForgetsTensor"),
    ("acme-mutants", "KeepsLooseTensor"),
    ("acme-mutants", "CannotBeBuilt"),
    ("acme-mutants", "CallsFunctions"),
    ("acme-mutants", "HasUnusedLayerModel-pyramid"),
    ("acme-broken", "acme-broken"),
]
RIGHT = ("patches14", "upstream", "functional", "tied", "blurred", "vit14_registers")


def is_quick(check):
    return not check.traces and not check.starts_processes


@pytest.fixture(scope="module")
def collected(site):
    """The checks of a distribution, collected once."""
    found = {}

    def of(distribution):
        if distribution not in found:
            found[distribution] = collect(distribution)
        return found[distribution]

    return of


def results_of(collected, distribution, components, wanted=lambda check: True):
    """What becomes of the checks of some components; None for those of all."""
    checks = [
        check
        for check in collected(distribution)
        if (components is None or check.case.name in components) and wanted(check.check)
    ]
    reasons = reasons_of(checks, declared_by(distribution).expected_failures)
    return [result_of(check, reasons.get(check.id)) for check in checks]


def expect_one(results, check):
    failed = {result.id: result.message for result in results if result.status in FAILURES}
    assert len(failed) == 1, failed
    assert next(iter(failed)).endswith(f"-{check}"), failed


def test_there_are_many():
    assert len(EACH) >= 110
    assert {*SAMPLE} <= {*EACH}


@pytest.mark.parametrize(
    ("distribution", "component"), SAMPLE, ids=[f"{name}-{component}" for name, component in SAMPLE]
)
def test_one_fault_is_one_failure(collected, distribution, component):
    check = MUTANTS[distribution][component]
    named = {check}
    if distribution == "acme-broken":  # the encoder's failures are explained by the distribution's
        expect_one(results_of(collected, distribution, None, lambda item: is_quick(item) or item.name in named), check)
        return
    expect_one(results_of(collected, distribution, [component], is_quick), check)


@pytest.mark.slow
@pytest.mark.parametrize(("distribution", "component"), EACH, ids=["-".join(item) for item in EACH])
def test_one_fault_is_one_failure_of_all_checks(collected, distribution, component):
    whole = distribution in ("acme-broken", "acme-lying")
    results = results_of(collected, distribution, None if whole else [component])
    expect_one(results, MUTANTS[distribution][component])


@pytest.mark.parametrize("component", RIGHT)
def test_what_is_right_has_no_failure(collected, component):
    results = results_of(collected, "acme-right", [component], is_quick)
    assert len(results) > 20
    assert not [result for result in results if result.status in FAILURES]


@pytest.mark.slow
@pytest.mark.parametrize("distribution", ["acme-right", "acme-specs-alone"])
def test_what_is_right_has_no_failure_of_all_checks(distribution):
    report = check_plugin(distribution)
    assert report.passed, report.summary()
