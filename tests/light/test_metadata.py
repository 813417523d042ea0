"""What installers, and accidents, leave behind in the metadata of distributions."""

from __future__ import annotations

import re
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
    title = "plugin 'acme-smp-odd' 1.2.3 (unknown): its entry_points.txt is malformed (TypeError"
    assert record["error"].startswith(title)
    strict = sandbox.run("import smp_core\nreport(attempt(lambda: smp_core.plugins()))", SMP_PLUGINS_STRICT="1")
    assert strict["error"] == "PluginError"
    assert strict["message"].startswith(title)


def test_an_entry_point_that_is_no_reference(sandbox) -> None:
    """Some versions of importlib-metadata refuse it when it is read, some when it is loaded."""
    nonsense = "[smp_core]\nodd = plug-in, please\n"
    sandbox.install(_GOOD, Dummy(name="acme-smp-odd", source=_GOOD.source, entry_points=nonsense))
    seen = sandbox.run(_LIST)
    record = seen["records"]["acme-smp-odd"]
    assert (seen["encoders"], record["status"]) == (["good"], "broken")
    assert re.match(
        r"plugin 'acme-smp-odd' 1\.2\.3 \((unknown|plug-in, please)\): "
        r"(its entry_points\.txt is malformed \(|importing it failed: )ValueError: .*plug-in, please",
        record["error"],
    )


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
