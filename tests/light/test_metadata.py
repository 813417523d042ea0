"""What installers, and accidents, leave behind in the metadata of distributions."""

from __future__ import annotations

import subprocess
import sys

import pytest
from dummy_distributions import Dummy, encoder, plugin

_GOOD = Dummy(name="acme-smp-good", source=plugin(encoders=[encoder("good")]))
_LIST = "import smp_core\nreport({'records': records(), 'encoders': smp_core.list_encoders()})"


def test_an_installed_wheel(sandbox, tmp_path) -> None:
    """The real thing once; the other tests write the same files themselves."""
    pytest.importorskip("pip", reason="installing a wheel takes pip")
    wheel = Dummy(name="Acme.SMP-Good", version="2.0rc1", source=_GOOD.source).wheel(tmp_path)
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(sandbox.target)]
    done = subprocess.run([*command, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = sandbox.run(_LIST)
    assert seen["encoders"] == ["good"]
    assert seen["records"]["Acme.SMP-Good"]["version"] == "2.0rc1"


def test_a_dummy_leaves_what_a_wheel_leaves(sandbox) -> None:
    sandbox.install(_GOOD)
    listed = {line.split(",")[0] for line in (sandbox.target / _GOOD.info / "RECORD").read_text().splitlines()}
    there = {str(path.relative_to(sandbox.target)) for path in sandbox.target.rglob("*") if path.is_file()}
    assert listed == there


def test_names_come_from_the_head_of_the_metadata(sandbox) -> None:
    """Its description may quote another head; the folder's name is normalised."""
    sandbox.install(Dummy(name="Acme_SMP.Good", version="3", source=_GOOD.source))
    metadata = sandbox.target / "acme_smp_good-3.dist-info" / "METADATA"
    head = "Metadata-Version: 2.1\nNAME:  Acme_SMP.Good \nKeywords: Name: a\n  Name: b\nversion: 3\n"
    metadata.write_text(f"{head}\nName: c\nVersion: 9\n")
    records = sandbox.run(_LIST)["records"]
    assert {name: record["version"] for name, record in records.items()} == {"Acme_SMP.Good": "3"}


def test_an_egg_info_folder(sandbox) -> None:
    """What an old development install leaves."""
    sandbox.install(_GOOD)
    folder = (sandbox.target / _GOOD.info).rename(sandbox.target / "acme_smp_good.egg-info")
    (folder / "METADATA").rename(folder / "PKG-INFO")
    seen = sandbox.run(_LIST)
    assert (seen["encoders"], [*seen["records"]]) == (["good"], ["acme-smp-good"])


@pytest.mark.parametrize("metadata", [None, "", "Metadata-Version: 2.1\nVersion: 1\n\nName: acme-smp-half\n"])
def test_metadata_without_a_name(sandbox, metadata: str | None) -> None:
    sandbox.install(_GOOD, Dummy(name="acme-smp-half", source=_GOOD.source, metadata=False))
    if metadata is not None:
        (sandbox.target / "acme_smp_half-1.2.3.dist-info" / "METADATA").write_text(metadata)
    seen = sandbox.run(_LIST)
    version = "1" if metadata else "unknown"
    assert seen["encoders"] == ["good"]
    assert seen["records"]["acme_smp_half"]["status"] == "broken"
    assert seen["records"]["acme_smp_half"]["error"] == (
        f"plugin 'acme_smp_half' {version} (acme_smp_half.plugin): its metadata does not name the distribution: the "
        "installation is incomplete; reinstall or uninstall it"
    )


def test_metadata_that_is_no_text(sandbox) -> None:
    sandbox.install(_GOOD, Dummy(name="acme-smp-half", source=_GOOD.source))
    metadata = sandbox.target / "acme_smp_half-1.2.3.dist-info" / "METADATA"
    metadata.write_bytes("Name: acme-smp-half\nVersion: 1.2.3\nAuthor: Müller\n".encode("latin-1"))
    seen = sandbox.run(_LIST)
    assert (seen["encoders"], seen["records"]["acme_smp_half"]["status"]) == (["good"], "broken")
    assert seen["records"]["acme_smp_half"]["error"].startswith(
        "plugin 'acme_smp_half' unknown (acme_smp_half.plugin): its metadata cannot be read (UnicodeDecodeError: "
    )


def test_a_malformed_entry_points_file_of_a_plugin(sandbox) -> None:
    sandbox.install(_GOOD, Dummy(name="acme-smp-odd", source=_GOOD.source, entry_points="[smp_core]\njust a line\n"))
    seen = sandbox.run(_LIST)
    record = seen["records"]["acme-smp-odd"]
    assert (seen["encoders"], record["status"]) == (["good"], "broken")
    assert record["error"].endswith("; reinstall or uninstall it")
    title = "plugin 'acme-smp-odd' 1.2.3 (unknown): its entry_points.txt is malformed: 'just a line' is not of the form"
    assert record["error"].startswith(title)
    strict = sandbox.run("import smp_core\nreport(attempt(lambda: smp_core.plugins()))", SMP_PLUGINS_STRICT="1")
    assert strict["error"] == "PluginError"
    assert strict["message"].startswith(title)


def test_an_entry_point_that_is_no_reference(sandbox) -> None:
    nonsense = "[smp_core]\nodd = plug-in, please\n"
    sandbox.install(_GOOD, Dummy(name="acme-smp-odd", source=_GOOD.source, entry_points=nonsense))
    seen = sandbox.run(_LIST)
    record = seen["records"]["acme-smp-odd"]
    assert (seen["encoders"], record["status"]) == (["good"], "broken")
    assert record["error"] == (
        "plugin 'acme-smp-odd' 1.2.3 (plug-in, please): importing it failed: "
        "ValueError: 'plug-in, please' is no module's name"
    )


@pytest.mark.parametrize("value", ["acme_smp_odd.plugin", "acme_smp_odd.plugin [fast, small]"])
def test_how_an_entry_points_file_may_be_written(sandbox, value: str) -> None:
    text = f"# a comment\n[console_scripts]\na = b\n\n[smp_core]\n# another\n odd ={value} \n\n[other]\nc = d\n"
    sandbox.install(Dummy(name="acme-smp-odd", source=_GOOD.source, entry_points=text))
    seen = sandbox.run(_LIST)
    assert (seen["encoders"], seen["records"]["acme-smp-odd"]["status"]) == (["good"], "ok")


@pytest.mark.parametrize("content", [b"[console_scripts]\nbroken\n", b"\xff\xfe not text"])
def test_a_malformed_entry_points_file_of_somebody_else(sandbox, content: bytes) -> None:
    other = Dummy(name="other-tool", source=None)
    sandbox.install(_GOOD, other)
    (sandbox.target / other.info / "entry_points.txt").write_bytes(content)
    seen = sandbox.run(_LIST)
    assert (seen["encoders"], [*seen["records"]]) == (["good"], ["acme-smp-good"])


def test_metadata_left_behind_by_an_interrupted_update(sandbox) -> None:
    """pip renames what it is about to remove to ``~...``; interrupted, it leaves the same distribution twice."""
    sandbox.install(Dummy(name="acme-smp-good", version="1.0", source=_GOOD.source))
    (sandbox.target / "acme_smp_good-1.0.dist-info").rename(sandbox.target / "~cme_smp_good-1.0.dist-info")
    sandbox.install(_GOOD)
    seen = sandbox.run(_LIST)
    assert (seen["encoders"], [*seen["records"]]) == (["good"], ["acme-smp-good"])
    assert seen["records"]["acme-smp-good"]["status"] == "ok"


def test_several_entry_points_of_one_distribution(sandbox) -> None:
    names = {"alpha": "one", "beta": "two", "gamma": "one"}
    modules = {f"acme_smp_pair/{file}.py": plugin(encoders=[encoder(name)]) for file, name in names.items()}
    points = "[smp_core]\n" + "".join(f"{file} = acme_smp_pair.{file}\n" for file in names)
    sandbox.install(Dummy(name="acme-smp-pair", source="", entry_points=points, files=modules))
    script = """
from smp_core.registry import plugins, resolve_encoder
report([[[record.module, record.status, record.error] for record in plugins()],
        [attempt(resolve_encoder, name) for name in ("one", "acme-smp-pair/two")]])
"""
    records, found = sandbox.run(script)
    again = (
        "plugin 'acme-smp-pair' 1.2.3 (acme_smp_pair.gamma): "
        "module 'acme_smp_pair.alpha' of the same distribution provides 'one' already"
    )
    assert records == [
        ["acme_smp_pair.alpha", "ok", None],
        ["acme_smp_pair.beta", "ok", None],
        ["acme_smp_pair.gamma", "broken", again],
    ]
    assert found == [{"value": "acme-smp-pair/one"}, {"value": "acme-smp-pair/two"}]


def test_the_first_of_two_installations_counts(sandbox, tmp_path) -> None:
    """A distribution in an earlier folder of sys.path hides one of the same name in a later one."""
    later = tmp_path / "later"
    Dummy(name="acme-smp-good", version="0.1", source=_GOOD.source).install(later)
    sandbox.install(_GOOD)
    records = sandbox.run(f"import sys\nsys.path.append({str(later)!r})\nreport(records())")
    assert {name: record["version"] for name, record in records.items()} == {"acme-smp-good": "1.2.3"}


def test_a_zipped_path_entry(sandbox, tmp_path) -> None:
    wheel = _GOOD.wheel(tmp_path)
    script = f"import sys\nsys.path.insert(0, {str(wheel)!r})\n{_LIST}"
    assert sandbox.run(script)["encoders"] == ["good"]


_BESIDE_THE_LIBRARY = """
import importlib.metadata
from smp_core.registry.metadata import find_plugins

library = importlib.metadata.entry_points(group="smp_core")
report([sorted([item.distribution, item.version, item.entry_point, item.module] for item in find_plugins()),
        sorted([item.dist.name, item.dist.version, item.name, item.value] for item in library)])
"""


def test_what_is_found_is_what_the_library_finds(sandbox, tmp_path) -> None:
    """Folders are searched here, and must be searched as `importlib.metadata` searches them."""
    later = tmp_path / "later"
    sandbox.install(_GOOD, Dummy(name="Acme_SMP.Two", version="2!1.0+local", source=_GOOD.source))
    sandbox.install(Dummy(name="other-tool", source=None), Dummy(name="acme-smp-egg", source=_GOOD.source))
    (sandbox.target / "acme_smp_egg-1.2.3.dist-info").rename(sandbox.target / "acme_smp_egg.egg-info")
    (sandbox.target / "acme_smp_egg.egg-info" / "METADATA").rename(sandbox.target / "acme_smp_egg.egg-info/PKG-INFO")
    (sandbox.target / "empty-1.dist-info").mkdir()
    (sandbox.target / "file-1.dist-info").write_text("")
    Dummy(name="acme-smp-two", version="0.1", source=_GOOD.source).install(later)  # hidden by the first
    Dummy(name="acme-smp-late", source=_GOOD.source).install(later)
    paths = f"import os, sys\nsys.path += [{str(later)!r}, '/not/there']\n"
    here, library = sandbox.run(paths + _BESIDE_THE_LIBRARY)
    assert here == library
    assert [item[0] for item in here] == [
        "Acme_SMP.Two",
        "acme-smp-egg",
        "acme-smp-good",
        "acme-smp-late",
        "other-tool",
    ]
    relative = f"import os, sys\nos.chdir({str(later)!r})\nsys.path = ['', *sys.path]\n"
    here, library = sandbox.run(relative + _BESIDE_THE_LIBRARY)
    assert here == library
    assert ["acme-smp-two", "0.1"] in [item[:2] for item in here]


def test_distributions_that_somebody_elses_finder_provides(sandbox, tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    _GOOD.install(elsewhere)
    script = f"""
import importlib.machinery, importlib.metadata, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.PathFinder.find_spec(name, path or [{str(elsewhere)!r}], target)

    def find_distributions(self, context=importlib.metadata.DistributionFinder.Context()):
        return importlib.metadata.MetadataPathFinder.find_distributions(
            importlib.metadata.DistributionFinder.Context(path=[{str(elsewhere)!r}]))

sys.meta_path.append(Finder())
"""
    assert sandbox.run(script + _LIST)["encoders"] == ["good"]


def test_an_unpacked_egg(sandbox, tmp_path) -> None:
    egg = tmp_path / "acme_smp_good-1.2.3-py3.egg"
    _GOOD.install(egg)
    (egg / _GOOD.info / "METADATA").rename(egg / _GOOD.info / "PKG-INFO")
    (egg / _GOOD.info).rename(egg / "EGG-INFO")
    script = f"import sys\nsys.path.insert(0, {str(egg)!r})\n{_LIST}"
    assert sandbox.run(script)["encoders"] == ["good"]
