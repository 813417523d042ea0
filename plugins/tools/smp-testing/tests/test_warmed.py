"""Processes that begin with modules imported: what they see, what they give back, and that they share nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from smp_testing.warmed import FORKS, Warmed


@pytest.fixture(scope="module")
def warmed():
    found = Warmed(("json",), ("-W", "error"))
    yield found
    found.close()


def test_what_a_program_gets_and_gives(warmed, tmp_path):
    program = "import os, sys; print(sys.argv, os.environ['WANTED'], os.getcwd(), sys.path); sys.exit(3)"
    done = warmed.run(program, "a", "b", environment={"WANTED": "é"}, cwd=tmp_path, path=["/nowhere", *sys.path])
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith(f"['-c', 'a', 'b'] é {tmp_path} ['")
    assert "'/nowhere'" in done.stdout


def test_a_program_is_main_and_begins_anew(warmed):
    for _ in range(2):
        looks = "import os; print(__name__, 'kept' in globals(), 'KEPT' in os.environ)"
        done = warmed.run(f"{looks}; kept = 1; os.environ['KEPT'] = ''")
        assert (done.returncode, done.stdout) == (0, "__main__ False False\n")
    assert "KEPT" not in os.environ


@pytest.mark.skipif(not FORKS, reason="a new interpreter is started here")
def test_modules_are_imported_once_and_others_not_at_all(warmed):
    done = warmed.run("import sys; print('json' in sys.modules, 'pytest' in sys.modules, 'torch' in sys.modules)")
    assert done.stdout == "True False False\n"


def test_an_error_is_printed(warmed):
    done = warmed.run("import warnings; print(1); warnings.warn('old')")
    assert (done.returncode, done.stdout) == (1, "1\n")
    assert done.stderr.endswith("UserWarning: old\n")


def test_a_program_that_dies_leaves_the_next_alone(warmed):
    assert warmed.run("import os; os.abort()").returncode != 0
    assert warmed.run("raise SystemExit('no')").returncode == 1
    assert warmed.run("print(2)").stdout == "2\n"


def test_what_a_program_does_at_its_end_is_done(warmed):
    program = "import atexit, threading, time; atexit.register(print, 'last')\n"
    program += "threading.Thread(target=lambda: (time.sleep(0.1), print('waited for'))).start()"
    assert warmed.run(program).stdout == "waited for\nlast\n"


def test_one_that_does_not_end_is_killed(warmed):
    with pytest.raises(subprocess.TimeoutExpired, match=r"timed out after 0\.5 seconds"):
        warmed.run("import time; time.sleep(100)", timeout=0.5)
    assert warmed.run("print(3)").stdout == "3\n"


def test_it_can_be_closed_and_used_again(warmed):
    warmed.close()
    assert warmed.run("print(4)").stdout == "4\n"


@pytest.mark.skipif(not FORKS, reason="a new interpreter is started here")
def test_a_module_that_does_not_import():
    broken = Warmed(("no_such_module",))
    with pytest.raises(OSError, match=r"has ended; what it wrote to stderr says why|Broken pipe"):
        broken.run("print(1)")
    broken.close()
