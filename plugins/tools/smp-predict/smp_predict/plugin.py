"""What a plugin that adds file formats imports. Light: nothing of torch or NumPy.

A distribution names its formats in an entry point of the group ``smp_predict``::

    [project.entry-points.smp_predict]
    czi = "acme_smp_czi.plugin:FORMATS"

The module that it names imports this one alone; readers and writers are named as strings, and imported when a file is
opened.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format.

    Attributes:
        name: for messages: ``"GeoTIFF"``.
        suffixes: lower case, with their dots: ``(".tif", ".tiff")``. The longest that fits a name wins.
        reader: ``"module:function"``, called with a path (str), returns a `smp_predict.Source`; None: not read.
        writer: ``"module:function"``, called with a path (`pathlib.Path`) and a `smp_predict.Result`, writes a file or
            folder there; None: not written.

    Raises:
        ValueError: a value that none of them can have.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str | None = None
    writer: str | None = None

    def __post_init__(self) -> None:
        for suffix in self.suffixes:
            if not suffix.startswith(".") or suffix != suffix.lower():
                raise ValueError(f"format {self.name!r}: suffix {suffix!r} must be lower case and begin with a dot")
        for kind, target in (("reader", self.reader), ("writer", self.writer)):
            if target is not None and target.count(":") != 1:
                raise ValueError(f"format {self.name!r}: {kind} must be 'module:function', got {target!r}")
        if not self.suffixes or (self.reader is None and self.writer is None):
            raise ValueError(f"format {self.name!r} needs a suffix, and a reader or a writer")
