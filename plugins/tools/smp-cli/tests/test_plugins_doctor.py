"""``smp plugins doctor``: each kind of trouble, made on purpose."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest

ENCODERS = """
from smp_core.plugin import CommandSpec, EncoderSpec, hookimpl

@hookimpl
def smp_encoders():
    shared = {{"target": "a:b", "out_channels": (3, 8), "reductions": (1, 2)}}
    return [EncoderSpec(name=name, **shared) for name in {names!r}]
"""
ARCHITECTURE = """
from smp_core.plugin import ArchitectureSpec, hookimpl

@hookimpl
def smp_architectures():
    return [ArchitectureSpec(name="{name}", class_name="Acme", target="a:b")]
"""
COMMAND = """
from smp_core.plugin import CommandSpec, hookimpl

@hookimpl
def smp_commands():
    return [CommandSpec(name="predict", target="a:b")]
"""


class Site:
    """Folders in front of ``sys.path``, in which distributions are installed."""

    def __init__(self, folder: Path, smp: Any) -> None:
        self.folder = folder
        self._smp = smp

    def install(
        self, name: str, source: str, *, needs: str = "", folder: str = "site", version: str = "0.3", module: str = ""
    ) -> Path:
        package = module or name.replace("-", "_")
        site = self.folder / folder
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}\nText\n")
        (info / "entry_points.txt").write_text(f"[smp_core]\nplugin = {package}\n")
        (info / "RECORD").write_text(f"{package}.py,,\n")
        (site / f"{package}.py").write_text(textwrap.dedent(source))
        return info

    def run(self, *arguments: str, **environment: str) -> Any:
        folders = sorted(path for path in self.folder.iterdir() if path.is_dir())
        path = os.pathsep.join(filter(None, (*map(str, folders), os.environ.get("PYTHONPATH", ""))))
        return self._smp("plugins", "doctor", *arguments, environment={"PYTHONPATH": path, **environment})

    def findings(self, status: int, **environment: str) -> list[dict[str, Any]]:
        """What the doctor finds, what is editable here left out."""
        result = self.run("--json", **environment)
        assert result.returncode == status, result.stdout + result.stderr
        assert result.stderr == ""
        found = json.loads(result.stdout)["findings"]
        return [item for item in found if item["kind"] != "editable"]


@pytest.fixture
def site(tmp_path, smp):
    return Site(tmp_path / "path", smp)


def test_nothing_is_wrong(site):
    info = site.install("acme-good", ENCODERS.format(names=["acme_good"]), needs="Requires-Dist: smp-core>=1.0,<2")
    (info / "direct_url.json").write_text(json.dumps({"url": "file:///", "dir_info": {"editable": True}}))
    site.install("acme-plain", ENCODERS.format(names=["acme_plain"]))
    result = site.run()
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[-1] == "0 errors, 0 warnings"
    assert "acme-good\t0.3\tok\t/\teditable" in lines
    assert f"acme-plain\t0.3\tok\t{info.parent}" in lines
    assert "note: editable: acme-good: it runs from /, whatever version its metadata says" in lines
    as_json = json.loads(site.run("--json").stdout)
    (place,) = [item for item in as_json["plugins"] if item["distribution"] == "acme-good"]
    assert place.pop("load_seconds") > 0
    assert place == {"distribution": "acme-good", "version": "0.3", "status": "ok", "location": "/", "editable": True}


def test_broken_and_partial(site):
    site.install("acme-bad", "raise RuntimeError('the flux is discharged')")
    half = ENCODERS.format(names=["acme_half"]) + "    \n" + "@hookimpl\ndef smp_commands():\n    return [CommandSpec("
    site.install("acme-half", half + "name='-', target='a:b')]\n")
    bad, half = site.findings(1, SMP_PLUGINS_STRICT="1")
    assert (bad["severity"], bad["kind"], bad["distribution"]) == ("error", "broken", "acme-bad")
    assert "importing it failed: RuntimeError: the flux is discharged" in bad["message"]
    assert bad["remedy"].startswith("pip install -U acme-bad, or tell its author")
    assert (half["severity"], half["kind"]) == ("warning", "partial")
    assert "CommandSpec '-' is invalid" in half["message"]


def test_a_checkout_that_is_gone(site, tmp_path):
    info = site.install("acme-moved", ENCODERS.format(names=["acme_moved"]))
    origin = {"url": (tmp_path / "gone").as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(origin))
    (found,) = site.findings(1)
    assert found["message"] == f"it was installed from {tmp_path / 'gone'}, which is not there"


def test_slow(site):
    site.install("acme-heavy", "import numpy\n" + ENCODERS.format(names=["acme_heavy"]))
    site.install("acme-sleepy", "import time; time.sleep(0.15)\n" + ENCODERS.format(names=["acme_sleepy"]))
    once = "import os, pathlib, time\nmark = pathlib.Path(__file__ + '.mark')\n"
    once += "if not mark.exists(): time.sleep(0.15); mark.touch()\n"
    site.install("acme-cold", once + ENCODERS.format(names=["acme_cold"]))
    heavy, sleepy = site.findings(0)
    assert {heavy["kind"], sleepy["kind"]} == {"slow"}
    assert "imports numpy at discovery" in heavy["message"]
    assert sleepy["distribution"] == "acme-sleepy"
    assert sleepy["message"].startswith("importing acme_sleepy takes 1")
    assert sleepy["remedy"] == 'see what takes it: python -X importtime -c "import acme_sleepy"'


def test_duplicate(site):
    source = ENCODERS.format(names=["acme_tiny"])
    first = site.install("acme-tiny", source, folder="a")
    second = site.install("acme-tiny", source, folder="b", version="0.4")
    (found,) = site.findings(0)
    assert (found["kind"], found["distribution"]) == ("duplicate", "acme-tiny")
    assert found["message"] == (f"it is installed twice: 0.3 in {first.parent} is used, 0.4 in {second.parent} is not")
    assert found["remedy"] == "uninstall one of them"


def test_metadata_left_behind(site):
    source = ENCODERS.format(names=["acme_tiny"])
    site.install("acme-tiny", source)
    site.install("acme-tiny", source, version="0.4")
    (found,) = site.findings(0)
    assert found["message"].startswith("its metadata is there twice: 0.")
    assert found["remedy"] == "pip install --force-reinstall acme-tiny"


def test_shadowed(site):
    site.install("acme-shade", ENCODERS.format(names=["resnet18"]))
    site.install("acme-tools", COMMAND)
    site.install("acme-there", ENCODERS.format(names=["acme_there"]), folder="b")
    (site.folder / "a").mkdir()
    other = site.folder / "a" / "acme_there.py"
    other.write_text(ENCODERS.format(names=["acme_there"]))
    there, shade, tools = site.findings(1)
    assert {item["kind"] for item in (shade, tools, there)} == {"shadowed"}
    assert shade["message"] == "its encoder 'resnet18' is not reached by that name, which is smp-resnet's"
    assert shade["remedy"] == "write acme-shade/resnet18"
    assert tools["message"] == "its command 'predict' is not reached by that name, which is smp-cli's"
    own = site.folder / "b" / "acme_there.py"
    assert there["message"] == f"its module acme_there was imported from {other}, not from its own {own}"
    assert there["remedy"] == f"rename or move {other}, or start Python elsewhere"


def test_former_names_that_are_others(site):
    source = ENCODERS.format(names=["acme_one", "acme_two"])
    names = "former_names=('resnet18', 'tu-mine', 'acme_zero') if name == 'acme_one' else ()"
    source = source.replace("name=name,", f"name=name, {names},")
    site.install("acme-former", source)
    site.install("acme-other", ENCODERS.format(names=["acme_zero"]))
    found = site.findings(0)
    assert {(item["severity"], item["kind"], item["distribution"]) for item in found} == {
        ("warning", "shadowed", "acme-former")
    }
    assert [item["message"] for item in found] == [
        "its encoder 'acme_one' is not reached by its former name 'resnet18', which is smp-resnet's",
        "its encoder 'acme_one' is not reached by its former name 'tu-mine', which is smp-timm's",
        "its encoder 'acme_one' is not reached by its former name 'acme_zero', which is acme-other's",
    ]


def test_conflicting(site):
    site.install("acme-one", ENCODERS.format(names=["acme_tiny"]))
    site.install("acme-two", ENCODERS.format(names=["acme_tiny"]))
    site.install("acme-arch", ARCHITECTURE.format(name="acme_net"))
    site.install("acme-later", ARCHITECTURE.format(name="acme_other"))
    site.install("acme-fork", ENCODERS.format(names=["acme_fork"]), module="acme_forked")
    (site.folder / "site" / "acme_forked.py").unlink()
    site.install("acme-spoon", ENCODERS.format(names=["acme_fork"]), module="acme_forked")
    found = site.findings(1)
    assert {(item["kind"], item["distribution"]) for item in found} == {("conflicting", None)}
    # Each once, whoever has part in it.
    assert [(item["severity"], item["message"]) for item in found] == [
        ("error", "acme-fork and acme-spoon both name the module acme_forked: one has overwritten the other"),
        ("warning", "the encoder 'acme_fork' is provided by acme-fork and acme-spoon"),
        ("warning", "the encoder 'acme_tiny' is provided by acme-one and acme-two"),
        (
            "warning",
            "checkpoints call both the architectures 'acme_net' of acme-arch and 'acme_other' of acme-later 'Acme'",
        ),
    ]
    assert found[2]["remedy"] == "write acme-one/acme_tiny or acme-two/acme_tiny"


_UPGRADE = "pip install -U acme-old"


@pytest.mark.parametrize(
    ("needs", "message", "remedy"),
    [
        ("Requires-Dist: smp-core>=0.1,<1", "it needs smp-core<1,>=0.1, and 1.0.0 is installed", _UPGRADE),
        ("Requires-Dist: smp-core>=2", "it needs smp-core>=2, and 1.0.0 is installed", "pip install 'smp-core>=2'"),
        ("Requires-Dist: acme-no>=2", "it needs acme-no>=2, which is not installed", "pip install 'acme-no>=2'"),
        ("Requires-Dist: a sentence", "its metadata asks for 'a sentence', which means nothing", _UPGRADE),
        ("Requires-Python: >=4", "it needs Python >=4, and this is ", _UPGRADE),
        ("Requires-Python: four", "its metadata asks for Python 'four', which means nothing", _UPGRADE),
    ],
)
def test_incompatible(site, needs, message, remedy):
    extra = "Requires-Dist: acme-extra; extra == 'more'\nRequires-Dist: acme-old; python_version < '3'"
    site.install("acme-old", ENCODERS.format(names=["acme_old"]), needs=f"{needs}\n{extra}")
    (found,) = site.findings(1)
    assert (found["severity"], found["kind"], found["distribution"]) == ("error", "incompatible", "acme-old")
    assert found["message"].startswith(message)
    assert found["remedy"] == remedy


def test_switches(site):
    site.install("acme-tiny", ENCODERS.format(names=["acme_tiny"]))
    found = site.findings(
        1, SMP_DISABLE_PLUGINS="acme-tny, acme_tiny", SMP_PLUGINS="acme.tiny, nobody", SMP_PLUGIN="acme-tiny"
    )
    assert {(item["kind"], item["distribution"]) for item in found} == {("switch", None)}
    assert {item["message"]: item["remedy"] for item in found} == {
        "SMP_DISABLE_PLUGINS names 'acme-tny', of which no plugin is installed": "did you mean acme-tiny?",
        "SMP_PLUGINS names 'nobody', of which no plugin is installed": "drop the name",
        "'acme.tiny' is in SMP_PLUGINS and in SMP_DISABLE_PLUGINS, which wins": "drop it from one",
        "the variable SMP_PLUGIN means nothing": "did you mean SMP_PLUGINS?",
    }


def test_a_flag_that_is_none(site):
    site.install("acme-tiny", ENCODERS.format(names=["acme_tiny"]))
    result = site.run(SMP_PLUGINS_STRICT="yes")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: environment variable SMP_PLUGINS_STRICT is 'yes'; expected 0 or 1\n"
