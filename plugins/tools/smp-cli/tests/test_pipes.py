"""Whoever reads the output may stop, or not be there at all: that is no error to shout about."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")


def shell(line):
    command = line.replace("smp ", f"'{sys.executable}' -m smp_cli ")
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("command", ["list encoders", "show resnet18", "plugins"])
def test_a_closed_output(command):
    done = shell(f"smp {command} >&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("command", ["list encoders", "show resnet18"])
def test_a_reader_that_stops(command):
    done = shell(f"smp {command} | head -n 1")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
