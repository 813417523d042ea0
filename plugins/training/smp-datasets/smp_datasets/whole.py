"""Files that smp-predict opens.

That distribution has the protocol of sources and the formats; it is needed for windows and for Zarr alone, and imported
when one is opened. The other way round it reads pictures by this package: neither needs the other but for an extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smp_datasets.errors import MissingDependencyError, UnreadableFileError
from smp_datasets.pixels import Array, Colours, Pixels

if TYPE_CHECKING:
    from smp_predict import Source


def smp_predict(what: str) -> Any:
    """The package with the sources.

    Raises:
        MissingDependencyError: it is not installed; names what needs it.
    """
    try:
        import smp_predict
    except ImportError as error:
        raise MissingDependencyError(
            f"{what} needs smp-predict: pip install 'smp-datasets[windows]' ({error})"
        ) from error
    return smp_predict


def read_whole(path: str) -> Pixels:
    """All of a file that smp-predict reads, Zarr say.

    Raises:
        UnreadableFileError: it is damaged, or no image.
        MissingDependencyError: smp-predict, or what it needs for the format, is missing.
    """
    source = open_file(path)
    package = smp_predict(f"reading {path!r}")
    height, width, _ = source.shape
    return pixels_of(source, path, read_window(source, package.Window(0, 0, height, width), path))


def open_file(path: str) -> Source:
    """A file as a source.

    Raises:
        UnreadableFileError: it cannot be read.
        MissingDependencyError: smp-predict, or what it needs for the format, is missing.
    """
    package = smp_predict(f"reading {path!r}")
    try:
        found: Source = package.open_source(path)
    except package.MissingDependencyError as error:
        raise MissingDependencyError(str(error)) from error
    except package.PredictError as error:
        raise UnreadableFileError(str(error)) from error
    return found


def pixels_of(source: Source, path: str, values: Array) -> Pixels:
    """Pixels of a window as those of a file of its own."""
    colours: Colours = getattr(source, "colours", "none")
    if values.shape[2] == 1 and getattr(source, "palette", None) is None:
        colours = "grey"
    kind = getattr(source, "kind", f"{values.dtype} image")
    return Pixels(path, values, kind, colours, getattr(source, "palette", None))


def read_window(source: Source, window: Any, path: str) -> Array:
    """The pixels of a window.

    Raises:
        UnreadableFileError: the file is damaged there.
    """
    package = smp_predict("reading windows of images")
    try:
        values = source.read(window)
    except package.PredictError as error:
        raise UnreadableFileError(str(error)) from error
    if values.shape[:2] != (window.height, window.width):
        raise UnreadableFileError(f"cannot read {path!r}: {window} gave {values.shape[:2]}")
    return values
