"""``smp plugins new``: what it makes builds, installs and passes the checks untouched; ``update`` merges changes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from smp_cli.plugins import naming, template

KINDS = ("encoder", "architecture", "neck")

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def program(*arguments: object, folder: Path, **environment: str) -> str:
    """Run something that must succeed, and return what it prints."""
    command = [str(argument) for argument in arguments]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=Ann", "-c", "user.email=ann@localhost", "-c", "core.autocrlf=false")
    return program("git", *settings, *arguments, folder=folder)


@pytest.fixture
def made(run, tmp_path, monkeypatch):
    """Makes a distribution in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def make(kind: str, name: str = "acme-smp-hiera", *options: str) -> Path:
        result = run("plugins", "new", kind, name, *options)
        assert result.exit_code == 0, result.output
        assert result.output.startswith(f"{name}: the {kind} ")
        return tmp_path / name

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_it_builds_installs_and_passes_untouched(made, kind, tmp_path):
    folder = made(kind)
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "-q")
    program(*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", wheels, folder, folder=tmp_path)
    program(*pip, "install", "--no-deps", "--no-index", "--target", site, *wheels.iterdir(), folder=tmp_path)
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    pytest_ = (sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests")
    text = program(*pytest_, folder=folder, PYTHONPATH=path)
    passed = int(re.search(r"(\d+) passed", text)[1])
    assert passed >= 40
    assert "skipped" not in text
    listed = program(sys.executable, "-m", "smp_cli", "list", f"{kind}s", folder=tmp_path, PYTHONPATH=path)
    assert "acme_hiera" in listed.splitlines()
    if kind == "neck":  # whose checks take the least time
        command = ("plugins", "validate", "acme-smp-hiera", "--json")
        report = json.loads(program(sys.executable, "-m", "smp_cli", *command, folder=tmp_path, PYTHONPATH=path))
        assert (report["passed"], report["counts"]["passed"]) == (True, passed)


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_it_is_tidy(made):
    for kind in KINDS:
        folder = made(kind, f"acme-smp-{kind}")
        for command in (["check", "--select", "E,F,I,B,UP"], ["format", "--check"]):
            program(sys.executable, "-m", "ruff", *command, "--line-length", "120", ".", folder=folder)


def test_names_and_author(made):
    folder = made("neck", "Acme.Ladder", "--model", "ladder2", "--author", 'Ann "A" O\'Hara, Acme & Sons')
    assert 'target="acme_ladder.neck:Ladder2"' in (folder / "acme_ladder" / "plugin.py").read_text()
    assert 'Copyright (c) Ann "A" O\'Hara, Acme & Sons\n' in (folder / "LICENSE").read_text()
    assert 'authors = [{ name = "Ann \\"A\\" O\'Hara, Acme & Sons" }]' in (folder / "pyproject.toml").read_text()
    assert sorted(path.name for path in (folder / "acme_ladder").iterdir()) == [
        *("__init__.py", "neck.py", "plugin.py", "py.typed")
    ]


def test_names_of_models_are_as_specs_allow_them(made, tmp_path):
    for number, (model, name) in enumerate(
        [("acme-foo_b", "AcmeFooB"), ("net.v2+x:y", "NetV2XY"), ("3net", "Model3net"), ("class", "Class")]
    ):
        folder = made("encoder", f"acme-smp-{number}a", "--model", model)
        assert naming.class_of(model) == name
        package = folder / naming.package_of(f"acme-smp-{number}a")
        assert f'target="{package.name}.encoder:{name}"' in (package / "plugin.py").read_text()
        assert f"class {name}(EncoderBase):" in (package / "encoder.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("decoder", "acme-x"), "there is no template for 'decoder'; expected one of encoder, architecture, neck"),
        (
            ("neck", "9/x"),
            "'9/x' cannot name a distribution; expected letters, digits, '-', '_' and '.', as in 'acme-smp-hiera'",
        ),
        (
            ("encoder", "smp-hiera"),
            "'smp-hiera': names that begin with 'smp-' are this project's; put yours in front, 'acme-smp-hiera'",
        ),
        (
            ("encoder", "acme-x", "--model", "resnet18"),
            "the encoder 'resnet18' is smp-resnet's; choose another name with --model",
        ),
        (
            ("encoder", "acme-x", "--model", "my model"),
            "--model 'my model': expected a name of letters, digits and . _ + : - (no slash, no "
            "space), as in 'acme_hiera'",
        ),
        (
            ("encoder", "acme-x", "--model", "none"),
            "--model 'none': its class would be called 'None', which is a keyword of Python; choose another name",
        ),
        (
            ("encoder", "acme-x", "--model", "valueError"),
            "--model 'valueError': its class would be called 'ValueError', as something that is built into Python; "
            "choose another name",
        ),
        (
            ("neck", "acme-x", "--model", "tensor"),
            "--model 'tensor': its class would be called 'Tensor', as something that its module imports; choose "
            "another name",
        ),
        (
            ("architecture", "acme-x", "--model", "unet-"),
            "--model 'unet-': its class would be called 'Unet', as smp-unet's, which checkpoints name it by; "
            "choose another name",
        ),
        (
            ("encoder", "class"),
            "'class': its package would be called 'class', which is a keyword of Python; choose another name",
        ),
        (
            ("encoder", "Json"),
            "'Json': its package would be called 'json', as a module of Python's own; choose another name",
        ),
        (
            ("encoder", "torch"),
            f"'torch': its package would be called 'torch', as one that is installed "
            f"({find_spec('torch').origin}); choose another name",
        ),
        (
            ("encoder", "tests"),
            "'tests': its package would be called 'tests', as the folder of its tests; choose another name",
        ),
        (
            ("encoder", "acme-x", "--author", "Ann\nBob"),
            "--author 'Ann\\nBob': expected one line of text, as 'Ann, Acme & Sons'",
        ),
        (("encoder", "acme-x", "--out", "full"), "'full' is there already; choose another folder with --out"),
    ],
)
def test_what_cannot_be_made(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    result = run("plugins", "new", *arguments)
    assert (result.exit_code, result.output) == (1, f"error: {message}\n")


def test_copier_and_git_are_needed(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(template.shutil, "which", lambda name: None)
    message = "error: templates need git, which is not on the path; install it first\n"
    assert run("plugins", "new", "neck", "acme-x").output == message
    monkeypatch.setattr(template.importlib.util, "find_spec", lambda name: None)
    message = 'error: templates need copier, which is not installed; run: pip install "smp-cli[new]"\n'
    assert run("plugins", "new", "neck", "acme-x").output == message


# --- update


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """A copy of the template's versions, to which another can be added."""
    folder = tmp_path / "versions"
    shutil.copytree(template.VERSIONS, folder)
    monkeypatch.setattr(template, "VERSIONS", folder)
    return folder


def newer(versions: Path) -> None:
    """A version that says more in the README, tests otherwise, and has another file."""
    released = max(versions.iterdir(), key=lambda path: float(path.name))
    changed = versions / "9.0"
    shutil.copytree(released, changed)
    readme = changed / "template" / "README.md.jinja"
    readme.write_text(readme.read_text() + "\nAsk at https://example.org.\n")
    plugin = changed / "template" / "{{package}}" / "plugin.py.jinja"
    plugin.write_text(plugin.read_text().replace("as data.", "as pure data."))
    (changed / "template" / "SECURITY.md.jinja").write_text("Write to {{ author }}.\n")


def test_update_carries_changes_over_and_keeps_yours(made, run, versions):
    folder = made("encoder", "acme-smp-hiera", "--author", "Ann")
    git(folder, "init", "--quiet")
    plugin = folder / "acme_smp_hiera" / "plugin.py"
    plugin.write_text(plugin.read_text().replace("five convolutional stages", "mine"))
    (folder / ".github" / "workflows" / "tests.yml").unlink()
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Begin")
    result = run("plugins", "update", folder)
    assert (result.exit_code, result.output) == (0, f"{folder}: version 1.0 of the template, which is the newest\n")
    assert git(folder, "status", "--porcelain") == ""
    newer(versions)
    result = run("plugins", "update", folder)
    assert result.output == f"{folder}: from version 1.0 of the template to 9.0; look at git diff, then commit\n"
    text = plugin.read_text()
    assert "as pure data." in text
    assert 'summary="mine"' in text
    assert (folder / "README.md").read_text().endswith("\nAsk at https://example.org.\n")
    assert (folder / "SECURITY.md").read_text() == "Write to Ann.\n"
    assert not (folder / ".github" / "workflows" / "tests.yml").exists()
    assert not (folder / "acme_smp_hiera" / "neck.py").exists()


def test_update_carries_changes_over_that_keep_the_size_and_time_of_a_file(made, run, versions):
    """As pip unpacks them, files of all versions have one time; git would take such a one for the one it knows."""
    folder = made("neck")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Begin")
    released = max(versions.iterdir(), key=lambda path: float(path.name))
    shutil.copytree(released, versions / "9.0")
    project = versions / "9.0" / "template" / "pyproject.toml.jinja"
    project.write_text(project.read_text().replace(">=3.10", ">=3.11"))
    for file in versions.rglob("*"):
        os.utime(file, (1_700_000_000, 1_700_000_000))
    run("plugins", "update", folder)
    assert 'requires-python = ">=3.11"' in (folder / "pyproject.toml").read_text()


TRAP = "import pathlib\npathlib.Path({mark!r}).touch()\nraise SystemExit('a module of the checkout was imported')\n"


def trapped(folder: Path, mark: Path) -> None:
    """Modules that a careless child would import from the folder in which it runs."""
    for name in ("copier", "json", "yaml", "jinja2", "typing", "importlib", "runpy", "sitecustomize", "smp_cli"):
        (folder / f"{name}.py").write_text(TRAP.format(mark=str(mark)))


def test_update_runs_nothing_of_the_checkout(made, run, versions, tmp_path, monkeypatch):
    folder, mark = made("neck"), tmp_path / "mark"
    trapped(folder, mark)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Begin")
    newer(versions)
    monkeypatch.chdir(folder)
    result = run("plugins", "update")
    assert result.output == ".: from version 1.0 of the template to 9.0; look at git diff, then commit\n"
    assert not mark.exists()
    result = run("plugins", "new", "neck", "acme-other")
    assert (result.exit_code, mark.exists()) == (0, False)
    assert (folder / "acme-other" / "pyproject.toml").exists()


def test_python_m_smp_cli_takes_nothing_of_the_checkout(tmp_path):
    for name in ("typer", "rich", "smp_core"):
        (tmp_path / f"{name}.py").write_text(TRAP.format(mark=str(tmp_path / "mark")))
    text = program(sys.executable, "-m", "smp_cli", "--version", folder=tmp_path)
    assert text.startswith("smp-cli 1.")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "_src_path: https://example.invalid/evil.git",
            "error: '.' was not made by smp plugins new: .copier-answers.yml names the template "
            "'https://example.invalid/evil.git', not 'https://smp-core.invalid/plugin-template.git'\n",
        ),
        # The last of two is the one that counts, however it is written.
        (
            '"_src_path": ./here',
            "error: '.' was not made by smp plugins new: .copier-answers.yml names the template './h",
        ),
        (
            "_commit: --upload-pack=evil",
            "error: '.copier-answers.yml': _commit is '--upload-pack=evil'; expected a version of the template",
        ),
        ("- [", "error: '.copier-answers.yml' is no YAML: while parsing"),
    ],
)
def test_update_takes_no_other_template(made, run, monkeypatch, line, message):
    folder = made("neck")
    monkeypatch.chdir(folder)
    with (folder / ".copier-answers.yml").open("a") as file:
        file.write(f"{line}\n")
    result = run("plugins", "update")
    assert result.exit_code == 1
    assert result.output.startswith(message)


def test_update_marks_conflicts(made, run, versions):
    folder = made("neck")
    plugin = folder / "acme_smp_hiera" / "plugin.py"
    plugin.write_text(plugin.read_text().replace("as data.", "as my own data."))
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Begin")
    newer(versions)
    result = run("plugins", "update", folder)
    assert result.exit_code == 1
    first, second = result.output.splitlines()
    assert first == f"{folder}: from version 1.0 of the template to 9.0; look at git diff, then commit"
    assert second.startswith(
        "error: what you and the template changed differs in acme_smp_hiera/plugin.py: choose between"
    )
    text = plugin.read_text()
    assert text.index("<<<<<<<") < text.index("as my own data.") < text.index("as pure data.") < text.index(">>>>>>>")


def test_what_cannot_be_updated(made, run, versions, tmp_path):
    result = run("plugins", "update", tmp_path)
    message = f"error: {str(tmp_path)!r} was not made by smp plugins new: it has no .copier-answers.yml\n"
    assert (result.exit_code, result.output) == (1, message)
    folder = made("neck")
    newer(versions)
    result = run("plugins", "update", folder)
    assert result.exit_code == 1
    assert result.output.startswith("error: copier refuses: ")
    assert "git-tracked" in result.output
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Begin")
    (folder / "README.md").write_text("changed")
    result = run("plugins", "update", folder)
    assert result.output.startswith("error: copier refuses: ")
    assert "commit or stash" in result.output


def test_the_template_is_the_same_wherever_it_is_made():
    heads = []
    for _ in range(2):
        with template._repository(template.VERSIONS) as folder:
            heads.append(git(folder, "rev-parse", "HEAD"))
    assert heads[0] == heads[1]
