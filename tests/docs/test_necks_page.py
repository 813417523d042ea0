"""What the page on necks shows works: its code runs, and its plugin is found, used, and passes the checks."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "necks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def block(part):
    (found,) = [code for code in BLOCKS if part in code]
    return found


def test_using_one(run):
    code = block("import smp_core\n")
    shown = re.findall(r"^(model.*?)  # (.*)$", code, flags=re.MULTILINE)
    assert len(shown) == 2
    run("\n".join([code, *(f"assert str(({expression})) == {value!r}" for expression, value in shown)]))


@pytest.fixture
def installed(tmp_path):
    """The page's plugin, as an installer leaves it."""
    site = tmp_path / "site"
    (site / "acme_smp_ladder").mkdir(parents=True)
    (site / "acme_smp_ladder-0.1.0.dist-info").mkdir()
    for name, text in {
        "acme_smp_ladder/__init__.py": "",
        "acme_smp_ladder/plugin.py": block("NeckSpec("),
        "acme_smp_ladder/neck.py": block("class Ladder"),
        "acme_smp_ladder-0.1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme-smp-ladder\nVersion: 0.1.0\n",
        "acme_smp_ladder-0.1.0.dist-info/entry_points.txt": "[smp_core]\nladder = acme_smp_ladder.plugin\n",
    }.items():
        (site / name).write_text(text)
    return str(site)


def test_the_plugin_is_found_and_used(installed, run):
    code = block("import smp_core\n").replace('neck="simple_pyramid"', 'neck="ladder"')
    assert run(code + "print(model.encoder.out_channels)", installed) == "(128, 128, 128, 128)\n"


@pytest.mark.slow
def test_the_plugin_passes_the_checks(installed, run):
    quick = (
        "from smp_testing import collect\n"
        "checks = [item for item in collect('acme-smp-ladder') if not item.check.traces or 'scripts' in item.id]\n"
        "for item in checks: item.run()\n"
        "print(len(checks) > 20)\n"
    )
    # torch deprecates TorchScript.
    run("import warnings; warnings.simplefilter('ignore')\n" + quick, installed)
    assert 'conformance("acme-smp-ladder")' in block("conformance(")
