"""Which checks yield to which: only to those that there are, and never to each other, or neither would be reported."""

from smp_testing.checks import CHECKS

YIELDS = {check.name: check.yields_to for check in CHECKS}


def test_each_yields_to_checks_that_there_are():
    assert {name for names in YIELDS.values() for name in names} <= {*YIELDS}


def test_no_two_yield_to_each_other_on_whatever_way():
    for check in YIELDS:
        reached, pending = set(), [*YIELDS[check]]
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending += YIELDS[name]
        assert check not in reached, check
