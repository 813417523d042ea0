"""The project's tasks. ``nox -l`` lists them; the distributions are read from the folders, never listed here.

Third-party packages are big, so they are installed once, into ``.nox/third-party``; the other environments only point
at it and add what is theirs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox
from nox.project import dependency_groups, load_toml

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "tests"]
nox.options.default_venv_backend = "none"

ROOT = Path(__file__).parent.resolve()
ENVIRONMENTS = ROOT / ".nox"
DIST = ROOT / "dist"

# The versions on which the torch-free layer is tested beside the one that runs nox.
LIGHT_PYTHONS = ("3.10", "3.12", "3.13", "3.14")


# What runs on every change: not the comparisons with the peer, nor what takes long.
FAST = ["-m", "not parity and not slow and not robustness"]


class Distribution:
    """A folder with a pyproject.toml that has a project table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.toml = load_toml(folder / "pyproject.toml")
        self.name: str = self.toml["project"]["name"]
        self.dependencies: list[str] = self.toml["project"].get("dependencies", [])

    @property
    def package(self) -> str:
        """Its import package."""
        return self.name.replace("-", "_")

    @property
    def test_dependencies(self) -> list[str]:
        """What its tests need beyond what it needs itself."""
        return list(dependency_groups(self.toml, "test")) if self.toml.get("dependency-groups", {}).get("test") else []

    @property
    def tests(self) -> Path:
        """Its own tests."""
        return self.folder / "tests"


def distributions() -> dict[str, Distribution]:
    """Every distribution of this repository by name, smp-core first."""
    folders = [ROOT, *(path.parent for path in sorted(ROOT.glob("plugins/*/*/pyproject.toml")))]
    return {item.name: item for item in map(Distribution, folders)}


def requirement_name(requirement: str) -> str:
    """The project name of a requirement: ``smp-core>=1.0,<2`` -> ``smp-core``."""
    for index, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:index].lower()
    return requirement.lower()


def third_party_requirements() -> list[str]:
    """What all distributions, their tests and the tools need, without the distributions themselves."""
    ours = distributions()
    wanted = list(dependency_groups(load_toml(ROOT / "pyproject.toml"), "dev"))
    for item in ours.values():
        wanted += [*item.dependencies, *item.test_dependencies]
    return sorted({item for item in wanted if requirement_name(item) not in ours})


def python_of(environment: Path) -> str:
    return str(environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def make_environment(
    session: nox.Session, name: str, install: list[list[str]], over: Path | None = None, digest: str = ""
) -> str:
    """Make a virtual environment, unless it was made from the same arguments before, and return its Python.

    Args:
        name: folder under .nox.
        install: argument lists for pip install.
        over: another environment whose packages it sees.
        digest: of whatever else it is made from.
    """
    environment = ENVIRONMENTS / name
    stamp = environment / "made-from"
    text = repr((sys.version, install, (over / "made-from").read_text() if over else "", digest))
    if stamp.exists() and stamp.read_text() == text:
        return python_of(environment)
    shutil.rmtree(environment, ignore_errors=True)
    session.run(sys.executable, "-m", "venv", str(environment), external=True)
    if over is not None:
        link = Path(_site_packages(environment)) / "_over.pth"
        link.write_text(_site_packages(over) + "\n")
    for arguments in install:
        session.run(python_of(environment), "-m", "pip", "install", "-q", *arguments, external=True)
    stamp.write_text(text)
    return python_of(environment)


def _digest() -> str:
    """Of the metadata of our distributions, which an editable installation copies."""
    files = sorted(ROOT.glob("plugins/*/*/pyproject.toml"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in (ROOT / "pyproject.toml", *files))).hexdigest()


def _site_packages(environment: Path) -> str:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return subprocess.run(
        [python_of(environment), "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def third_party(session: nox.Session) -> str:
    """The Python of the environment with everything that is not ours."""
    return make_environment(session, "third-party", [third_party_requirements()])


def editable(session: nox.Session) -> str:
    """The Python of the environment with all our distributions, as they stand in the work tree."""
    third_party(session)
    return make_environment(session, "editable", [_ours()], over=ENVIRONMENTS / "third-party", digest=_digest())


def _ours() -> list[str]:
    """Arguments for pip install: all our distributions as they stand in the work tree."""
    folders = [argument for item in distributions().values() for argument in ("-e", str(item.folder))]
    return ["--no-deps", "--no-build-isolation", *folders]


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but the comparisons and the slow ones; then those of the torch-free layer on other Pythons."""
    python = editable(session)
    arguments = session.posargs or ["-n", "2", "tests", *_plugin_tests()]
    session.run(python, "-m", "pytest", *FAST, *arguments, external=True, env={"OMP_NUM_THREADS": "1"})
    if not session.posargs:
        session.notify("light")


@nox.session
def sweeps(session: nox.Session) -> None:
    """What takes long and needs no peer: every encoder in every architecture, big models compiled, and so on."""
    python = editable(session)
    arguments = session.posargs or ["-n", "2", "tests", *_plugin_tests()]
    variables = {"OMP_NUM_THREADS": "1"}
    session.run(python, "-m", "pytest", "-m", "slow and not parity", *arguments, external=True, env=variables)


@nox.session
def robustness(session: nox.Session) -> None:
    """Thousands of damaged files, kills, concurrent savers, and faults of the network; half an hour."""
    python = editable(session)
    arguments = session.posargs or ["-n", "2", "tests/robustness"]
    variables = {"OMP_NUM_THREADS": "1"}
    session.run(python, "-m", "pytest", "-m", "robustness", *arguments, external=True, env=variables)


def _plugin_tests() -> list[str]:
    return [str(item.tests.relative_to(ROOT)) for item in distributions().values() if item.folder != ROOT]


@nox.session
def light(session: nox.Session) -> None:
    """The tests of the torch-free layer, without torch, on every other supported Python that is found."""
    for version in LIGHT_PYTHONS:
        python = _find_python(version)
        if python is None:
            session.log(f"Python {version} not found: skipped")
            continue
        environment = ENVIRONMENTS / f"light-{version}"
        shutil.rmtree(environment, ignore_errors=True)
        session.run(python, "-m", "venv", str(environment), external=True)
        inside = python_of(environment)
        needed = [item for item in distributions()["smp-core"].dependencies if requirement_name(item) in _LIGHT]
        session.run(inside, "-m", "pip", "install", "-q", "pytest", "hypothesis", *needed, external=True)
        session.run(inside, "-m", "pip", "install", "-q", "--no-deps", str(ROOT), external=True)
        session.run(inside, "-m", "pytest", "-q", "tests/light", external=True)


_LIGHT = ("pluggy", "packaging")


def _find_python(version: str) -> str | None:
    """A working interpreter of a version: on the path, or one that pyenv keeps."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))]
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        answer = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
        if answer.stdout.strip() == version:
            return candidate
    return None


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, and mypy --strict on smp_core and every plugin."""
    python = editable(session)
    session.run(python, "-m", "ruff", "check", ".", external=True)
    session.run(python, "-m", "ruff", "format", "--check", ".", external=True)
    packages = [str((item.folder / item.package).relative_to(ROOT)) for item in distributions().values()]
    session.run(python, "-m", "mypy", "--strict", *packages, external=True)


@nox.session
def build(session: nox.Session) -> None:
    """Every wheel and sdist into dist/, checked by twine."""
    python = third_party(session)
    shutil.rmtree(DIST, ignore_errors=True)
    for item in distributions().values():
        arguments = ["--no-isolation", "--outdir", str(DIST), str(item.folder)]
        session.run(python, "-m", "build", *arguments, external=True, silent=True)
    session.run(python, "-m", "twine", "check", "--strict", *map(str, sorted(DIST.iterdir())), external=True)


def _wheel(name: str) -> Path:
    (wheel,) = DIST.glob(f"{name.replace('-', '_')}-*.whl")
    return wheel


def _ours_needed(requirements: list[str]) -> list[str]:
    """The names of our distributions that requirements need, directly or not."""
    ours, found = distributions(), []
    waiting = [requirement_name(item) for item in requirements]
    while waiting:
        name = waiting.pop()
        if name in ours and name not in found:
            found.append(name)
            waiting += [requirement_name(item) for item in ours[name].dependencies]
    return sorted(found)


@nox.session
def wheels(session: nox.Session) -> None:
    """Each wheel with only the wheels that it declares: imports, is discovered, creates, passes its own tests.

    ``-- NAME ...`` for some; ``-- --no-tests`` leaves out the plugins' own tests, which the session "tests" runs too.
    """
    build(session)
    python = third_party(session)
    names = [item for item in session.posargs if item != "--no-tests"]
    chosen = [distributions()[name] for name in names] if names else distributions().values()
    for item in chosen:
        _check_imports(session, item)
        # An architecture shows that it creates over an encoder.
        beside = ["smp-resnet"] if item.folder.parent.name == "architectures" else []
        alone = _install_wheels(session, python, item, [*item.dependencies, *beside], "alone")
        check = [python, "tests/wheels/check_installed.py", item.name, item.package]
        session.run(*check, external=True, env={"PYTHONPATH": str(alone)})
        if item.folder != ROOT and "--no-tests" not in session.posargs:
            target = _install_wheels(session, python, item, [*item.dependencies, *item.test_dependencies], "tests")
            command = [python, "-m", "pytest", "-q", "-n", "2", *FAST, "-p", "no:cacheprovider"]
            variables = {"PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"}
            session.run(*command, str(item.tests), external=True, env=variables)


def _check_imports(session: nox.Session, item: Distribution) -> None:
    """No import without a declared dependency, and no dependency without an import."""
    command = [editable(session), "-m", "deptry", str(item.folder / item.package)]
    options = ["--config", str(item.folder / "pyproject.toml"), "--known-first-party", item.package]
    session.run(*command, *options, external=True)


def _install_wheels(session: nox.Session, python: str, item: Distribution, needs: list[str], name: str) -> Path:
    target = ENVIRONMENTS / "wheels" / item.name / name
    shutil.rmtree(target, ignore_errors=True)
    files = [str(_wheel(other)) for other in (item.name, *(n for n in _ours_needed(needs) if n != item.name))]
    arguments = ["--no-deps", "--no-index", "--target", str(target), *files]
    session.run(python, "-m", "pip", "install", "-q", *arguments, external=True)
    return target


@nox.session
def demo(session: nox.Session) -> None:
    """The main job: install from wheels into a fresh environment, train on a real micrograph, save, load, predict."""
    build(session)
    environment = ENVIRONMENTS / "demo"
    shutil.rmtree(environment, ignore_errors=True)
    session.run(sys.executable, "-m", "venv", str(environment), external=True)
    wanted = _ours_needed(["smp-unet", "smp-resnet", "smp-cli"])
    # By their files: the names are ours, whatever an index may hold under them. With constraints older pips fail over
    # what wants extras of them.
    wheels = [str(_wheel(name)) for name in wanted]
    session.run(python_of(environment), "-m", "pip", "install", "-q", *wheels, external=True)
    smp = str(Path(python_of(environment)).with_name("smp"))
    session.run(smp, "demo", *session.posargs, external=True)


@nox.session
def parity(session: nox.Session) -> None:
    """Comparison with segmentation_models_pytorch 0.6.0; ``-- --all`` adds the long sweep."""
    python = _with_peer(session)
    everything = "--all" in session.posargs
    arguments = [item for item in session.posargs if item != "--all"] or ["tests", *_plugin_tests()]
    marker = "parity" if everything else "parity and not slow"
    session.run(python, "-m", "pytest", "-m", marker, *arguments, external=True)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Speeds beside those of segmentation_models_pytorch; ``-- NAME`` runs one of benchmarks/."""
    python = _with_peer(session)
    names = session.posargs or sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    for name in names:
        session.run(python, f"benchmarks/{name}.py", external=True)


def _with_peer(session: nox.Session) -> str:
    third_party(session)
    install = [_ours(), ["segmentation-models-pytorch==0.6.0"]]
    return make_environment(session, "parity", install, over=ENVIRONMENTS / "third-party", digest=_digest())
