"""Names of results: one for each of many images, none twice."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from smp_predict.errors import OptionError


def names_for(sources: Iterable[str | os.PathLike[str]], suffix: str) -> dict[str, Path]:
    """A relative path for the result of each file, in the files' order.

    Folders below the deepest one that all files have in common are kept. Files of one folder whose names differ in
    their extension alone keep it: ``a.png`` and ``a.jpg`` become ``a.png.tif`` and ``a.jpg.tif``. Names are compared
    without case, as some file systems do.

    Args:
        sources: paths of files.
        suffix: of the results, with its dot.

    Returns:
        Each result's path, relative and with forward slashes, and the file.

    Raises:
        OptionError: a file is given twice.

    Examples:
        >>> sorted(names_for(["in/a/x.png", "in/b/x.png"], ".tif"))
        ['a/x.tif', 'b/x.tif']
    """
    paths = [Path(source) for source in sources]
    if not paths:
        return {}
    absolute = [Path(os.path.abspath(path)) for path in paths]
    try:
        root = Path(os.path.commonpath([path.parent for path in absolute]))
    except ValueError as error:  # on several drives
        raise OptionError(f"the files have no folder in common ({error}): predict each drive's by itself") from error
    plain = [path.relative_to(root).with_suffix("") for path in absolute]
    shared = Counter(str(path).casefold() for path in plain)
    found: dict[str, Path] = {}
    taken: set[str] = set()
    for path, place, short in zip(paths, absolute, plain, strict=True):
        stem = short if shared[str(short).casefold()] == 1 else place.relative_to(root)
        name = stem.with_name(stem.name + suffix).as_posix()
        if name.casefold() in taken:
            raise OptionError(f"{str(path)!r} is given twice, or differs from another file in case alone")
        taken.add(name.casefold())
        found[name] = path
    return found
