"""Check one installed distribution, in an environment that holds only what it declares: imports, discovery, creation.

Run as a script: ``python check_installed.py DISTRIBUTION PACKAGE``.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

# Big packages that happen to be installed beside, and that only those plugins may import that declare them.
BARRED = ("timm", "torchvision")


def main(name: str, package: str) -> None:
    installed = distribution(name)
    declared = declared_by(name)
    plugins = [point for point in installed.entry_points if point.group == "smp_core"]
    if plugins and "timm" not in declared:  # timm needs torchvision
        for barred in set(BARRED) - declared:
            sys.modules[barred] = None  # type: ignore[assignment]  # importing it raises
    module = importlib.import_module(package)
    home = Path(module.__file__ or "").parent
    repository = Path(__file__).resolve().parents[2]
    in_work_tree = home.is_relative_to(repository) and ".nox" not in home.parts
    assert not in_work_tree, f"{package} was imported from the work tree, not from its wheel: {home}"
    assert (home / "py.typed").is_file(), f"{package} ships no py.typed"
    version = version_of(package)
    assert version == installed.version, f"{version} is not the metadata's {installed.version}"
    names = [
        item.name for item in pkgutil.walk_packages([str(home)], f"{package}.") if not item.name.endswith("__main__")
    ]
    for item in names:
        importlib.import_module(item)
    if plugins:
        check_discovered(name)
    print(f"{name} {installed.version}: {len(names)} modules import" + (", discovered, creates" if plugins else ""))


def declared_by(name: str) -> set[str]:
    """What a distribution of this repository needs without extras, and what those need that are of it, too."""
    found: set[str] = set()
    for requirement in distribution(name).requires or ():
        if "extra ==" in requirement:
            continue  # of an extra, which is not installed here
        needed = re.split(r"[^\w-]", requirement, maxsplit=1)[0]
        found |= {needed, *(declared_by(needed) if needed.startswith("smp-") else ())}
    return found


def version_of(package: str) -> str:
    """The version of the distribution; ``package.__version__`` may be that of another whose names it has."""
    try:
        home = importlib.import_module(f"{package}._version")
    except ModuleNotFoundError:
        home = importlib.import_module(package)
    return str(home.__version__)


def check_discovered(name: str) -> None:
    import smp_core

    (record,) = [record for record in smp_core.plugins() if record.distribution == name]
    assert record.status == "ok", record.error
    lists = (smp_core.list_encoders, smp_core.list_architectures, smp_core.list_necks)
    listed = [item for names in lists for item in names(provider=name)]
    assert sorted(listed) == sorted([*record.encoders, *record.architectures, *record.necks])
    assert listed or record.resolves_encoders or record.commands or record.forms, f"{name} provides nothing"
    for item in listed:
        assert smp_core.describe(item).distribution == name
    check_creates(record.encoders, record.architectures)


def check_creates(encoders: Sequence[str], architectures: Sequence[str]) -> None:
    """One encoder, and every architecture that takes a pyramid, over a ResNet that is installed beside."""
    import torch

    import smp_core

    specs = [smp_core.describe(item).spec for item in encoders]
    x = torch.zeros(1, 3, 70, 64)
    if specs:
        smallest = min(specs, key=lambda spec: spec.num_parameters or 0)
        features = smp_core.create_encoder(smallest.name, weights=None).eval()(x)
        assert [item.shape[1] for item in features] == list(smallest.out_channels)
    for item in architectures:
        if not smp_core.describe(item).spec.tokens:
            model = smp_core.create(item, "resnet18", encoder_weights=None, classes=2)
            assert model.predict(x).shape == (1, 2, 70, 64)


if __name__ == "__main__":
    main(*sys.argv[1:])
