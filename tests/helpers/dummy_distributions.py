"""Distributions made for one test: exactly what an installed wheel leaves behind, without a build.

Standard library only, so that the torch-free tests and the benchmarks can use it wherever they run.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_HEADER = "from smp_core.plugin import ArchitectureSpec, EncoderSpec, WeightsSpec, hookimpl\n\n\n"


@dataclass(frozen=True, kw_only=True)
class Dummy:
    """A distribution.

    Attributes:
        name, version: as its metadata spells them.
        source: of the module ``<package>.plugin``; None for a distribution without any module.
        entry_points: text of ``entry_points.txt``; by default it names ``<package>.plugin`` in the group ``smp_core``.
        files: further files, by their path in the target folder.
        metadata: whether there is a METADATA file.
    """

    name: str
    version: str = "1.2.3"
    source: str | None
    entry_points: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    metadata: bool = True

    @property
    def package(self) -> str:
        """Name of the import package."""
        return re.sub(r"[-_.]+", "_", self.name).lower()

    @property
    def info(self) -> str:
        """Name of the ``.dist-info`` folder."""
        return f"{self.package}-{self.version}.dist-info"

    def tree(self) -> dict[str, str]:
        """Every file by its path; RECORD lists the others."""
        entry_points = self.entry_points
        if entry_points is None:
            entry_points = f"[smp_core]\n{self.package} = {self.package}.plugin\n"
        tree = dict(self.files)
        if self.source is not None:
            tree[f"{self.package}/__init__.py"] = ""
            tree[f"{self.package}/plugin.py"] = self.source
        tree[f"{self.info}/entry_points.txt"] = entry_points
        tree[f"{self.info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        if self.metadata:
            tree[f"{self.info}/METADATA"] = _metadata(self.name, self.version)
        record = "".join(f"{path},{_digest(text)},{len(text.encode())}\n" for path, text in tree.items())
        tree[f"{self.info}/RECORD"] = f"{record}{self.info}/RECORD,,\n"
        return tree

    def install(self, target: Path) -> None:
        """Write the files into a folder of ``sys.path``."""
        for path, text in self.tree().items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")

    def uninstall(self, target: Path) -> None:
        """Remove them."""
        for folder in (self.package, self.info):
            shutil.rmtree(target / folder, ignore_errors=True)

    def wheel(self, folder: Path) -> Path:
        """Write an actual wheel and return its path."""
        path = folder / f"{self.package}-{self.version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in self.tree().items():
                archive.writestr(name, text)
        return path


def _metadata(name: str, version: str) -> str:
    # As long as a typical one: whoever parses all of it pays for it.
    description = "\n".join(f"Line {number} of a description, Name: nonsense" for number in range(120))
    return (
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nSummary: A plugin for smp-core\n"
        f"License-Expression: MIT\nRequires-Python: >=3.10\nRequires-Dist: smp-core<2,>=1.0\n"
        f"Description-Content-Type: text/markdown\n\n{description}\n"
    )


def _digest(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.decode().rstrip('=')}"


def encoder(name: str, **fields: object) -> str:
    """Source of an `EncoderSpec`: a three-level pyramid, unless ``fields`` say otherwise."""
    values: dict[str, object] = {
        "name": name,
        "target": "torch.nn:Identity",
        "out_channels": (3, 8, 16),
        "reductions": (1, 2, 4),
        "max_depth": 2,
        **fields,
    }
    return f"EncoderSpec({', '.join(f'{key}={value!r}' for key, value in values.items())})"


def architecture(name: str, **fields: object) -> str:
    """Source of an `ArchitectureSpec`."""
    values: dict[str, object] = {"name": name, "class_name": "Dummy", "target": "torch.nn:Identity", **fields}
    return f"ArchitectureSpec({', '.join(f'{key}={value!r}' for key, value in values.items())})"


def plugin(*, encoders: list[str] | None = None, architectures: list[str] | None = None, more: str = "") -> str:
    """Source of a plugin module from the sources of its specs; ``more`` follows them."""
    text = _HEADER
    for hook, specs in (("smp_encoders", encoders), ("smp_architectures", architectures)):
        if specs is not None:
            text += f"@hookimpl\ndef {hook}():\n    return [{', '.join(specs)}]\n\n\n"
    return text + more
