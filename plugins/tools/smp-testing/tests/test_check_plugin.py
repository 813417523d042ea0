"""All checks of a plugin without pytest: what becomes of each, and what is said of it."""

import json
import os
import subprocess
import sys

import pytest

import smp_core
from smp_core.errors import MissingPluginError
from smp_testing import PluginReport, check_plugin

STAGES = ("stages_name_every_parameter_once", "features_end_their_stages", "gradient_checkpointing_only_saves_memory")
QUICK = {"surgery": (), "traced_up_to": -1}


@pytest.fixture(scope="module")
def report(site):
    return check_plugin("ACME_declares", **QUICK)


def results_of(report, component, *checks):
    found = {result.check: result for result in report.checks if result.component == component}
    return [found[check] for check in checks]


def test_what_is_right_passes(site):
    report = check_plugin("acme-declares", kinds=["encoder"], **QUICK)
    own = [result for result in report.checks if result.component == "Right"]
    assert len(own) >= 15
    assert {result.status for result in own} == {"passed"}
    assert {result.component for result in report.checks} == {"Declared", "Undeclared", "DeclaredInVain", "Right"}


def test_a_declared_failure_is_expected_and_what_follows_from_it_is_not_repeated(report):
    first, *others = results_of(report, "Declared", *STAGES)
    assert (first.status, first.message) == ("expected_failure", "its blocks are one")
    assert [item.status for item in others] == ["skipped", "skipped"]
    assert {item.message for item in others} == {"which fail as Declared-stages_name_every_parameter_once does"}
    assert not [item for item in report.failures if item.component == "Declared"]


def test_an_undeclared_skip_fails_and_says_what_to_write(report):
    first, *others = results_of(report, "Undeclared", *STAGES)
    assert first.status == "failed"
    assert first.message.startswith("Undeclared names no stages (stage_modules), which freezing a part")
    assert first.message.endswith("this check was not made, and nothing says why")
    assert "def smp_conformance():" in first.hint
    assert "{'Undeclared': {'stages_name_every_parameter_once': '<why>'}}" in first.hint
    assert [item.status for item in others] == ["skipped", "skipped"]


def test_a_declared_failure_that_passes_is_a_failure(report):
    (result,) = results_of(report, "DeclaredInVain", STAGES[0])
    assert result.status == "unexpected_pass"
    assert result.message == "it passes, and its failure is declared (its blocks are one); remove the entry"
    assert result in report.failures


def test_a_declaration_of_nothing_is_a_failure_of_the_distribution(report):
    (result,) = results_of(report, "acme-declares", "declarations_name_what_is_checked")
    assert result.status == "failed"
    assert "nothing named 'Rihgt' is checked; there are acme-declares, Declared, DeclaredInVain, " in result.message
    assert "'Right': there is no check 'stages_are_named'" in result.message


def test_the_report_says_how_many_checks_ran(report):
    counts = report.counts
    assert not report.passed
    assert report.num_run == sum(counts.values()) - counts["skipped"] == len(report.checks) - 4
    assert (counts["failed"], counts["unexpected_pass"], counts["expected_failure"]) == (2, 1, 1)
    lines = report.summary().splitlines()
    assert lines[-1].startswith(f"acme-declares 1.0.0 does not pass: {report.num_run} checks ran in ")
    words = lines[-1].partition("(")[2].rstrip(")").split(", ")
    expected = ["2 failed", "1 expected failure", "4 skipped", "1 unexpected pass"]
    assert sorted(words) == sorted([f"{counts['passed']} passed", *expected])
    assert "failed: Undeclared-stages_name_every_parameter_once" in lines
    assert "skipped: 2 checks of Declared, which fail as Declared-stages_name_every_parameter_once does" in lines


def test_the_report_is_json(report):
    value = json.loads(json.dumps(report.as_dict()))
    assert (value["plugin"], value["version"], value["passed"]) == ("acme-declares", "1.0.0", False)
    assert value["num_run"] == report.num_run
    assert len(value["checks"]) == len(report.checks)
    assert set(value["checks"][0]) == {"component", "check", "status", "message", "hint", "seconds"}


def test_no_check_is_no_pass(site):
    report = check_plugin("acme-declares", kinds=["neck"])
    assert (report.checks, report.passed) == ((), False)
    assert report.summary().startswith("acme-declares 1.0.0 does not pass: 0 checks ran in ")
    assert not PluginReport(plugin="acme", version="1", checks=()).passed


def test_results_are_told_as_they_come(site):
    seen = []
    report = check_plugin("acme-declares", kinds=["plugin"], on_result=seen.append)
    assert sorted(map(id, seen)) == sorted(map(id, report.checks))
    assert seen[0].check == "declarations_name_what_is_checked"  # what starts processes is last


def test_what_is_not_installed_or_no_kind(site):
    absent = r"no plugin of the distribution 'acme-none' is installed.*acme-declares"
    with pytest.raises(MissingPluginError, match=absent):
        check_plugin("acme-none")
    message = r"^kinds: expected some of plugin, encoder, architecture, neck, got 'encoders'$"
    with pytest.raises(ValueError, match=message):
        check_plugin("acme-declares", kinds=["encoders"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise RuntimeError('no licence key')", "importing it failed: RuntimeError: no licence key"),
        (
            "from smp_core.plugin import hookimpl\n@hookimpl\ndef smp_conformance():\n    return {'Right': {}}",
            "hook 'smp_conformance' returned {'Right': {}}; expected a ConformanceSpec",
        ),
        (
            "from smp_core.plugin import ConformanceSpec, hookimpl\n@hookimpl\ndef smp_conformance():\n"
            "    return ConformanceSpec(expected_failures={'Right': 'no'})",
            "hook 'smp_conformance' raised InvalidSpecError: ConformanceSpec is invalid:\n  field 'expected_failures': "
            "expected a mapping of names (of an encoder, architecture, neck) to {check: reason}",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_has_one_failure(tmp_path, monkeypatch, source, message):
    (tmp_path / "acme_bad.py").write_text(source)
    info = tmp_path / "acme_bad-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-bad\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[smp_core]\nbad = acme_bad\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    smp_core.refresh()
    try:
        report = check_plugin("acme-bad")
    finally:
        sys.modules.pop("acme_bad", None)
        monkeypatch.undo()
        smp_core.refresh()
    (result,) = report.checks
    assert (report.plugin, report.version, report.passed) == ("acme-bad", "2.0", False)
    assert (result.component, result.check, result.status) == ("acme-bad", "plugin_module_is_light", "failed")
    assert message in result.message


def test_from_a_program_without_pytest_and_without_a_guard(tmp_path, site):
    program = tmp_path / "check.py"
    program.write_text(
        "import sys\n"
        "sys.modules['pytest'] = None  # importing it is an error now\n"
        "import smp_testing\n"
        "report = smp_testing.check_plugin('acme-declares', kinds=['encoder'], traced_up_to=-1, surgery=())\n"
        "print(report.summary())\n"
        "print(*sorted({item.status for item in report.checks if item.component == 'Right'}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-W", "error", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "passed"
