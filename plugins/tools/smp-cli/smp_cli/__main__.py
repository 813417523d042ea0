"""``python -m smp_cli`` is ``smp``."""

import os
import sys
from pathlib import Path

# Python has put the working directory first, and ``smp`` does not: no module of somebody's checkout is meant.
if sys.path and sys.path[0] == os.getcwd() and sys.path[0] != str(Path(__file__).parents[1]):
    del sys.path[0]

from smp_cli.app import app

app(prog_name="smp")
