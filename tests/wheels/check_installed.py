"""Check one installed distribution, in an environment that holds only what it declares: imports, discovery, listing.

Run as a script: ``python check_installed.py DISTRIBUTION PACKAGE``.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from importlib.metadata import distribution
from pathlib import Path


def main(name: str, package: str) -> None:
    installed = distribution(name)
    module = importlib.import_module(package)
    home = Path(module.__file__ or "").parent
    repository = Path(__file__).resolve().parents[2]
    in_work_tree = home.is_relative_to(repository) and ".nox" not in home.parts
    assert not in_work_tree, f"{package} was imported from the work tree, not from its wheel: {home}"
    assert (home / "py.typed").is_file(), f"{package} ships no py.typed"
    assert module.__version__ == installed.version, f"{module.__version__} is not the metadata's {installed.version}"
    names = [
        item.name for item in pkgutil.walk_packages([str(home)], f"{package}.") if not item.name.endswith("__main__")
    ]
    for item in names:
        importlib.import_module(item)
    plugins = [point for point in installed.entry_points if point.group == "smp_core"]
    if plugins:
        check_discovered(name)
    print(f"{name} {installed.version}: {len(names)} modules import" + (", discovered" if plugins else ""))


def check_discovered(name: str) -> None:
    import smp_core

    (record,) = [record for record in smp_core.plugins() if record.distribution == name]
    assert record.status == "ok", record.error
    listed = [*smp_core.list_encoders(provider=name), *smp_core.list_architectures(provider=name)]
    assert sorted(listed) == sorted([*record.encoders, *record.architectures])
    assert listed or record.resolves_encoders, f"{name} provides nothing"
    for item in listed:
        assert smp_core.describe(item).distribution == name


if __name__ == "__main__":
    main(*sys.argv[1:])
