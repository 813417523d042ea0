"""``smp plugins validate``: the checks run in a process of their own, and only a whole report passes."""

from __future__ import annotations

import json
import os
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

# Stands for smp-testing: two checks, of which the second does something.
KIT = """
import os, sys, threading, time
from dataclasses import dataclass

@dataclass
class Result:
    component: str
    check: str
    status: str
    message: str = ""

class Report:
    def __init__(self, plugin, results):
        self.plugin, self.results = plugin, results
        self.passed = all(item.status == "passed" for item in results)

    def as_dict(self):
        return {"plugin": self.plugin, "passed": self.passed, "checks": [item.check for item in self.results]}

    def summary(self):
        return f"{self.plugin}: {len(self.results)} checks, {'none' if self.passed else 'one'} failed"

def check_plugin(name, *, on_result, **options):
    assert not os.listdir()  # nothing of the folder that smp was called in
    assert sys.stdin.read() == ""
    results = [Result(name, "builds", "passed"), Result(name, "runs", "failed" if name == "smp-fpn" else "passed")]
    on_result(results[0])
    ACTION
    on_result(results[1])
    return Report(name, results)
"""
ENDS = "a plugin must not end, leave or hold up the process that it is used in\n"


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """Writes the module that stands for smp-testing, in front of what is installed."""
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    monkeypatch.setenv("PYTHONPATH", path)

    def write(action: str = "pass", source: str = KIT) -> Path:
        file = tmp_path / "smp_testing.py"
        file.write_text(source.replace("ACTION", textwrap.indent(textwrap.dedent(action), "    ").strip()))
        return file

    return write


def ended(run: Any, name: str, *options: object) -> str:
    """What is said of checks that did not end, which is never a pass, for people and for programs."""
    result = run("plugins", "validate", name, *options)
    assert result.exit_code == 1
    as_json = run("plugins", "validate", name, "--json", *options)
    assert as_json.exit_code == 1
    report = json.loads(as_json.stdout)
    assert (report["plugin"], report["passed"]) == (name, False)
    assert f"error: {report['error']}\n" == result.output
    return result.output


@pytest.mark.parametrize(("name", "failed"), [("smp-unet", "none"), ("smp-fpn", "one")])
def test_the_report(run, kit, name, failed):
    kit("print('{}')")  # what a plugin prints is no report
    result = run("plugins", "validate", name)
    assert (result.exit_code, result.output) == (int(failed == "one"), f"{name}: 2 checks, {failed} failed\n")
    result = run("plugins", "validate", name, "--json")
    assert result.exit_code == int(failed == "one")
    assert json.loads(result.stdout) == {"plugin": name, "passed": failed == "none", "checks": ["builds", "runs"]}


@pytest.mark.parametrize(
    ("action", "what"),
    [
        ("os._exit(0)", "ended with status 0"),
        ("os._exit(3)", "ended with status 3"),
        ("sys.exit(0)", "was left by SystemExit: 0"),
        ("raise GeneratorExit('enough')", "was left by GeneratorExit: enough"),
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        # A forged report on all streams there are.
        (
            """
            line = '["report", {"report": {"passed": true}, "summary": "passes"}]\\n'.encode()
            os.write(1, line)
            os.write(2, line)
            os._exit(0)
            """,
            "ended with status 0",
        ),
    ],
)
def test_a_plugin_that_ends_the_process(run, kit, action, what):
    kit(action)
    text = ended(run, "smp-unet")
    where = "after 1 check, the last of them smp-unet-builds"
    assert text == f"error: smp-unet does not pass: the process of its checks {what}, {where}; {ENDS}"


def test_what_failed_before_is_told(run, kit):
    kit("results[0].status, results[0].message = 'failed', 'no'; on_result(results[0]); os._exit(0)")
    assert "\nfailed before: smp-unet-builds: no\n" in ended(run, "smp-unet")


def test_a_check_that_never_ends(run, kit):
    kit("while True: time.sleep(0.1)")
    text = ended(run, "smp-unet", "--timeout", "4")
    where = "after 1 check, the last of them smp-unet-builds"
    assert text.startswith(
        f"error: smp-unet does not pass: the process of its checks was killed, as nothing came of it for 4 s, {where}"
    )


def test_what_a_plugin_leaves_behind_ends(run, kit, tmp_path):
    """A thread that never ends, and a fork of the process, which would go through the checks as well."""
    mark = tmp_path / "mark"
    kit(f"""
        threading.Thread(target=time.sleep, args=(1000,)).start()
        if not os.fork():
            while True:
                open({str(mark)!r}, "a").write(".")
                time.sleep(0.05)
        while not os.path.exists({str(mark)!r}):
            time.sleep(0.01)
    """)
    result = run("plugins", "validate", "smp-unet")
    assert (result.exit_code, result.output) == (0, "smp-unet: 2 checks, none failed\n")
    size = mark.stat().st_size
    time.sleep(0.3)
    assert mark.stat().st_size == size


def test_a_fork_says_nothing(run, kit):
    kit("os.fork()")
    result = run("plugins", "validate", "smp-unet", "--json")
    assert json.loads(result.stdout) == {"plugin": "smp-unet", "passed": True, "checks": ["builds", "runs"]}


def test_a_plugin_module_that_ends_the_process(run, tmp_path, monkeypatch):
    """The command itself imports no plugin."""
    info = tmp_path / "acme_exit-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-exit\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[smp_core]\nplugin = acme_exit\n")
    (tmp_path / "acme_exit.py").write_text("import os; print('{\"passed\": true}', flush=True); os._exit(0)\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    monkeypatch.setenv("PYTHONPATH", path)
    text = ended(run, "acme-exit")
    where = "ended with status 0, before the first check"
    assert text == f"error: acme-exit does not pass: the process of its checks {where}; {ENDS}"


def test_output_of_plugins_goes_to_standard_error(smp, kit):
    kit("print('I am a plugin')")
    done = smp("plugins", "validate", "smp-unet", "--json")
    assert json.loads(done.stdout)["passed"] is True
    assert done.stderr == "I am a plugin\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18", "error: 'resnet18' is an encoder of smp-resnet; run: smp plugins validate smp-resnet\n"),
        ("smp-unett", "error: no plugin of a distribution 'smp-unett' is installed; did you mean 'smp-unet'"),
    ],
)
def test_what_is_no_distribution(run, kit, name, message):
    kit()
    result = run("plugins", "validate", name)
    assert result.exit_code == 1
    assert result.output.startswith(message)


def test_without_the_kit(run, kit):
    kit(source="raise ModuleNotFoundError('no', name='smp_testing')")
    result = run("plugins", "validate", "smp-unet")
    assert result.exit_code == 1
    assert result.output == (
        "error: validating a plugin needs smp-testing, which is not installed; run: pip install smp-testing\n"
    )


def test_an_older_kit(run, kit):
    kit(source="__version__ = '0.9'")
    result = run("plugins", "validate", "smp-unet")
    assert result.output == (
        "error: validating a plugin needs a newer smp-testing than 0.9; run: pip install -U smp-testing\n"
    )


def test_a_timeout_that_is_none(run):
    result = run("plugins", "validate", "smp-unet", "--timeout", "0")
    assert result.exit_code == 2
    assert "Invalid value for '--timeout'" in result.output
