"""The template of new plugins as copier wants it: a git repository with a tag for each version.

The versions ship with this package, so that nothing is fetched. The address under which a plugin remembers its template
is only a name: git is told, for one call, that it means the repository that is made here.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from packaging.version import Version

from smp_cli.errors import CliError
from smp_cli.plugins.interpreter import running_module

ADDRESS = "https://smp-core.invalid/plugin-template.git"
VERSIONS = Path(__file__).resolve().parent.parent / "templates" / "plugin"
# The same bytes give the same commits, wherever and whenever the repository is made.
_AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "smp-cli"), ("EMAIL", "smp-cli@localhost"), ("DATE", "2026-01-01T00:00:00Z"))
}


def run_copier(*arguments: str) -> None:
    """Run copier on the template. Nothing of the folder that it writes into is imported.

    Args:
        arguments: of the command ``copier``; folders are absolute.

    Raises:
        CliError: copier or git is missing, or copier refuses; says why.
    """
    check_copier()
    if shutil.which("git") is None:
        raise CliError("templates need git, which is not on the path; install it first")
    with _repository(VERSIONS) as repository:
        environment = {
            **os.environ,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": ADDRESS,
        }
        # This Python, arguments that are no shell's, and a folder that is ours.
        done = subprocess.run(  # noqa: S603
            running_module("copier", *arguments),
            cwd=repository,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise CliError(f"copier refuses: {lines[-1] if lines else f'exit status {done.returncode}'}")


def check_copier() -> None:
    """Whether copier is there, and with it what it needs.

    Raises:
        CliError: it is not installed.
    """
    if importlib.util.find_spec("copier") is None:
        raise CliError('templates need copier, which is not installed; run: pip install "smp-cli[new]"')


@contextmanager
def _repository(versions: Path) -> Iterator[Path]:
    """A git repository with the versions of the template, each tagged, the newest last."""
    with tempfile.TemporaryDirectory(prefix="smp-template-") as name:
        folder = Path(name) / "plugin-template"
        folder.mkdir()
        _git(folder, "init", "--quiet")
        for version in sorted(
            (path for path in versions.iterdir() if path.is_dir()), key=lambda item: Version(item.name)
        ):
            for old in folder.iterdir():
                if old.name != ".git":
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
            shutil.copytree(version, folder, dirs_exist_ok=True)
            # Else git takes a file of the same size and time for the one that it has.
            (folder / ".git" / "index").unlink(missing_ok=True)
            _git(folder, "add", "--all", "--force")
            _git(folder, "commit", "--quiet", "--no-verify", "--message", version.name)
            _git(folder, "tag", version.name)
        yield folder


def _git(folder: Path, *arguments: str) -> None:
    settings: Sequence[str] = ("-c", "core.autocrlf=false", "-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false")
    command = ["git", *settings, *arguments]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env={**os.environ, **_AUTHOR}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CliError(f"git {arguments[0]} failed: {done.stderr.strip()}")
