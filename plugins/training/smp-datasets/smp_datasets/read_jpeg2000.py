"""Reading JPEG 2000 with imagecodecs: Pillow keeps 8 of the 16 bits of its colours."""

from __future__ import annotations

from pathlib import Path

from smp_datasets.errors import MissingDependencyError
from smp_datasets.pixels import Colours, Pixels, numbers


def read_jpeg2000(path: str) -> Pixels:
    """Read a .jp2; any exception of the decoder passes through.

    Raises:
        MissingDependencyError: imagecodecs is needed.
    """
    try:
        import imagecodecs
    except ImportError as error:
        raise MissingDependencyError(
            f"cannot read {path!r}: JPEG 2000 needs imagecodecs; pip install imagecodecs"
        ) from error
    values = numbers(path, imagecodecs.jpeg2k_decode(Path(path).read_bytes()))
    colours: dict[int, Colours] = {1: "grey", 2: "grey", 3: "rgb", 4: "none"}
    return Pixels(path, values, f"{values.dtype} JPEG 2000", colours.get(values.shape[2], "none"))
