"""The doctor's examinations of distributions, one function a kind of trouble.

Those of names and switches are in `smp_cli.plugins.names`.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from smp_cli.plugins.findings import ERROR, NOTE, WARNING, Finding, Scene
from smp_cli.plugins.installed import Copy, module_file, module_name, own_files
from smp_cli.plugins.interpreter import running
from smp_core._specs.registered import normalise
from smp_core.registry import PluginRecord

# Seconds; a plugin module imports the standard library and smp_core.plugin, and needs a few thousandths.
SLOW = 0.1
_TIMED = """
import importlib, time
import smp_core.plugin
start = time.perf_counter()
importlib.import_module({module!r})
print(time.perf_counter() - start)
"""


def broken(scene: Scene) -> Iterator[Finding]:
    """Plugins that do not load, or not whole, or print meanwhile."""
    for record in scene.records:
        if record.status == "broken" and record.version != "not installed":  # which is a switch's affair
            error = record.error or ""
            newer = "" if "install" in error else f"pip install -U {record.distribution}, or "  # it says what to do
            remedy = f"{newer}tell its author (smp plugins --verbose: the traceback)"
            yield Finding(ERROR, "broken", record.distribution, error, remedy)
        elif record.status == "partial":
            remedy = f"pip install -U {record.distribution}, or tell its author"
            yield Finding(WARNING, "partial", record.distribution, record.error or "", remedy)
        elif record.status == "noisy":
            yield Finding(WARNING, "noisy", record.distribution, record.error or "", "tell its author")


def slow(scene: Scene) -> Iterator[Finding]:
    """Plugins whose modules import something heavy, or take long for another reason."""
    for record in scene.records:
        if record.heavy_imports:
            yield Finding(WARNING, "slow", record.distribution, record.error or "", "tell its author")
        elif record.load_seconds > SLOW:
            seconds = _import_seconds(record)
            if seconds is not None and seconds > SLOW:
                module = module_name(record)
                yield Finding(
                    WARNING,
                    "slow",
                    record.distribution,
                    f"importing {module} takes {1000 * seconds:.0f} ms, which every program pays that lists or builds",
                    f'see what takes it: python -X importtime -c "import {module}"',
                )


def _import_seconds(record: PluginRecord) -> float | None:
    """What the import takes once more, in a fresh process: files that were on no cache do not count."""
    command = running(_TIMED.format(module=module_name(record)))
    # This Python, and the module that discovery has imported already.
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        return float(done.stdout.split()[-1])
    except (IndexError, ValueError):  # it does not import there, or ended the process
        return None


def duplicate(scene: Scene) -> Iterator[Finding]:
    """Distributions of which there are several copies."""
    for copies in scene.copies.values():
        used, name = copies[0], copies[0].name
        for other in copies[1:]:
            if _is_its_source(used, other):
                continue
            same = other.folder == used.folder
            what = "its metadata is there twice" if same else "it is installed twice"
            yield Finding(
                WARNING,
                "duplicate",
                name,
                f"{what}: {used.version} in {used.folder} is used, {other.version} in {other.folder} is not",
                f"pip install --force-reinstall {name}" if same else "uninstall one of them",
            )


def _is_its_source(used: Copy, other: Copy) -> bool:
    """Whether one is the metadata that an editable installation leaves in the checkout."""
    return any(
        one.source is not None and two.folder.resolve().is_relative_to(one.source.resolve())
        for one, two in ((used, other), (other, used))
    )


def misplaced(scene: Scene) -> Iterator[Finding]:
    """Plugin modules that Python takes from elsewhere than from the distribution that names them."""
    for record in scene.records:
        file, copies = module_file(record), scene.copies.get(normalise(record.distribution))
        if file is None or not copies or copies[0].source is not None:
            continue
        own = list(own_files(copies[0], record))
        if own and file.resolve() not in [item.resolve() for item in own]:
            yield Finding(
                ERROR,
                "shadowed",
                record.distribution,
                f"its module {module_name(record)} was imported from {file}, not from its own {own[0]}",
                f"rename or move {_top(file, record)}, or start Python elsewhere",
            )


def _top(file: Path, record: PluginRecord) -> Path:
    """The file or folder that takes the place of the package."""
    parts = module_name(record).count(".") + (file.name == "__init__.py")
    return file.parents[parts - 1] if parts else file


def incompatible(scene: Scene) -> Iterator[Finding]:
    """Distributions that need other versions than are installed, of smp-core, of Python or of anything else."""
    for record in scene.records:
        copies = scene.copies.get(normalise(record.distribution))
        if not copies:
            continue
        name, distribution = record.distribution, copies[0].distribution
        upgrade = f"pip install -U {name}"
        for wrong in _python(copies[0].field("Requires-Python") or ""):
            yield Finding(ERROR, "incompatible", name, wrong, upgrade)
        for text in distribution.requires or ():
            for wrong, remedy in _requirement(text):
                yield Finding(ERROR, "incompatible", name, wrong, remedy or upgrade)


def _python(asked: str) -> Iterator[str]:
    running = platform.python_version()
    try:
        if asked and not SpecifierSet(asked).contains(running, prereleases=True):
            yield f"it needs Python {asked}, and this is {running}"
    except InvalidSpecifier:
        yield f"its metadata asks for Python {asked!r}, which means nothing"


def _requirement(text: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a requirement, and what mends it; nothing where that is for its author to mend."""
    try:
        needed = Requirement(text)
    except InvalidRequirement:
        yield f"its metadata asks for {text!r}, which means nothing", ""
        return
    if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
        return
    try:
        version = importlib.metadata.version(needed.name)
    except importlib.metadata.PackageNotFoundError:
        yield f"it needs {needed.name}{needed.specifier}, which is not installed", f"pip install {_quoted(needed)}"
        return
    if not needed.specifier.contains(version, prereleases=True):
        # Where what is installed is too new, a newer version of the plugin may know it.
        too_old = any(not item.contains(version, prereleases=True) for item in needed.specifier if ">" in item.operator)
        remedy = f"pip install {_quoted(needed)}" if too_old else ""
        yield f"it needs {needed.name}{needed.specifier}, and {version} is installed", remedy


def _quoted(needed: Requirement) -> str:
    return shlex.quote(f"{needed.name}{needed.specifier}")


def editable(scene: Scene) -> Iterator[Finding]:
    """Distributions that run from a checkout."""
    for name, copies in scene.copies.items():
        source = copies[0].source
        if source is None:
            continue
        title = copies[0].name
        if source.is_dir():
            yield Finding(NOTE, "editable", title, f"it runs from {source}, whatever version its metadata says")
        else:
            missing = f"it was installed from {source}, which is not there"
            yield Finding(ERROR, "broken", title, missing, f"pip install {name}")
