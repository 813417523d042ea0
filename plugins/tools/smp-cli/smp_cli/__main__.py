"""``python -m smp_cli`` is ``smp``."""

from smp_cli.app import app

app(prog_name="smp")
