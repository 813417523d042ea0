"""What no shape shows: each fault is found by the check of its name, and by that one alone."""

import re

import pytest

from smp_testing import ConformanceError, collect
from smp_testing.checks import CHECKS, hidden, tokens

WRONG = [
    ("CountsImages", "evaluation_changes_nothing", "in evaluation mode changes seen; expected it to change nothing"),
    ("CountsInSecret", "evaluation_changes_nothing", "in evaluation mode changes seen; expected it to change nothing"),
    ("KeepsInput", "keeps_no_tensors", "the input or a feature of the last call is still referred to"),
    ("KeepsFeatures", "keeps_no_tensors", "the input or a feature of the last call is still referred to"),
    ("Standardises", "flat_images_are_finite", "of an image that is 0 everywhere: output 1 holds NaN"),
    ("TakesRoots", "flat_images_are_finite", "gradient of stages.0.0.weight .*holds NaN .*for an image that is 0"),
    ("RoundsToFloat32", "float64_is_kept", "output 1 does not follow its input smoothly .*expected float64 through"),
    ("RoundsDeepFeature", "float64_is_kept", "output 5 does not follow its input smoothly .*expected float64 through"),
    ("MakesTensorsOnTheCpu", "tensors_follow_the_device", "fails on another device.* device=x.device"),
    ("ReturnsTensorsOfTheCpu", "tensors_follow_the_device", "outputs \\[5\\] are on the CPU for an input"),
    ("SetsSeed", "seeds_are_the_users", "sets torch's seed \\(to 42\\); expected it to leave that to the user"),
    ("DropsFurtherChannels", "every_input_channel_counts", "in_channels=5: channel 3 .*nothing in features \\[1"),
    ("MiscountsPrefixTokens", "prefix_tokens_are_counted", "expected 2 prefix tokens beside every .*, got \\[1\\]"),
    ("IgnoresIndices", "output_indices_are_honoured", "output_indices=\\[0\\] and \\[1\\] give the same; expected"),
    (
        "ReversesFeatures",
        "output_indices_are_honoured",
        "output_indices=\\[0, 1, 2\\], against each block alone: output",
    ),
    ("CountsFromOne", "output_indices_are_honoured", "output_indices=\\[0\\] and \\[1\\] give the same; expected"),
    ("IgnoresTheSign", "output_indices_are_honoured", "output_indices=\\[-1\\], against the last feature by default"),
    ("TakesAnyIndex", "wrong_output_indices_are_refused", "takes output_indices=\\[0, 10000\\] \\(beyond the last"),
    ("RaisesIndexError", "wrong_output_indices_are_refused", "beyond the last block\\): IndexError: .*OptionError"),
]
OWN = {name for module in (hidden, tokens) for name in vars(module)}


@pytest.fixture(scope="module")
def checks():
    found = [check for check in collect("acme-hidden") if not check.check.traces]
    return [check for check in found if not check.check.surgery or check.check.name in OWN]


@pytest.mark.parametrize(("case", "name", "message"), WRONG, ids=[f"{case}-{name}" for case, name, _ in WRONG])
def test_the_check_of_its_name_finds_it_and_no_other(checks, case, name, message):
    failed = {}
    for check in checks:
        if check.case.name == case:
            try:
                check.run()
            except Exception as error:
                failed[check.check.name] = error
    assert [*failed] == [name], failed
    assert isinstance(failed[name], ConformanceError)
    assert re.search(message, str(failed[name]), re.DOTALL), str(failed[name])


def test_each_check_has_something_wrong_to_find():
    names = {check.name for check in CHECKS if check.function.__module__ in (hidden.__name__, tokens.__name__)}
    assert names == {name for _, name, _ in WRONG}
