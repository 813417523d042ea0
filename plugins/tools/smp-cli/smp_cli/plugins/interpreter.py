"""Runs this Python once more, as another process that takes no module from the folder in which it runs.

``python -c`` and ``python -m`` put the working directory in front of all that is installed: a ``json.py`` in somebody's
checkout would be imported, and run. (``-P`` would do, from Python 3.11 on.)
"""

from __future__ import annotations

import sys

# sys is part of the interpreter, so that nothing was imported before the path is clean.
_WITHOUT_FOLDER = "import sys\nsys.path[:] = [entry for entry in sys.path if entry]\n"
_AS_MODULE = "import runpy\nrunpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"


def running(program: str, *arguments: str) -> list[str]:
    """The command that runs a program, which finds the arguments in ``sys.argv[1:]``."""
    return [sys.executable, "-c", _WITHOUT_FOLDER + program, *arguments]


def running_module(module: str, *arguments: str) -> list[str]:
    """The command that does what ``python -m MODULE`` does."""
    return running(_AS_MODULE.format(module=module), *arguments)
