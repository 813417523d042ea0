"""What ``smp predict`` reads and writes, checked before torch is imported and anything is computed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from smp_cli.errors import CliError
from smp_predict import open_source, readable_suffixes
from smp_predict.errors import PredictError
from smp_predict.protocols import Placement, placement_of

FORMATS = ("auto", "png", "tif", "npy", "zarr")
OUTPUTS = ("labels", "probabilities", "polygons")

# Folders that are one image.
_STORES = (".zarr",)
_TIFF = (".tif", ".tiff", ".btf")


@dataclass(frozen=True)
class Job:
    """One picture and what is written for it.

    Attributes:
        image: the file.
        result: the mask, or the probabilities.
        overlay: the classes in colour over the picture.
        polygons: the outlines of the classes, where they are wanted.
    """

    image: Path
    result: Path
    overlay: Path
    polygons: Path


@dataclass(frozen=True)
class _Found:
    image: Path
    place: PurePath  # in the folder of results, with the image's own name
    scanned: bool


def plan(
    images: Sequence[Path], out: Path, *, recursive: bool = False, output: str = "labels", form: str = "auto"
) -> list[Job]:
    """The files to write, none of which replaces an input or another output.

    Names are compared without case, as some file systems do. Pictures of a folder keep their places in it.

    Args:
        images: files, and folders where ``recursive`` says so.
        out: the folder of results; nothing in it is taken for a picture.
        output: one of `OUTPUTS`.
        form: one of `FORMATS`: of the mask or the probabilities; ``"auto"``: a GeoTIFF where the image is one, PNG for
            other masks, TIFF for other probabilities.

    Raises:
        CliError: a picture is missing, there is none, or two files would have one name.
    """
    for name, value, known in (("--output", output, OUTPUTS), ("--format", form, FORMATS)):
        if value not in known:
            raise CliError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    given = dict.fromkeys(images)  # one that is given twice is predicted once
    found = [item for image in given for item in _find(image, images, out, recursive=recursive)]
    if not found:
        raise CliError(f"no pictures in {', '.join(repr(str(image)) for image in images)}")
    shared = Counter(str(item.place.with_suffix("")).casefold() for item in found)
    jobs = []
    sources = {_key(item.image): item.image for item in found}
    taken: dict[str, Path] = {}
    for item in found:
        plain = item.place.with_suffix("")
        # Of a folder, nobody named them one by one, nor can rename them.
        stem = item.place if item.scanned and shared[str(plain).casefold()] > 1 else plain
        job = _job(item.image, out / stem, output, form)
        for target in (job.result, job.overlay, job.polygons):
            other = taken.setdefault(_key(target), item.image)
            if other is not item.image:
                raise CliError(
                    f"{str(other)!r} and {str(item.image)!r} would both write {str(target)!r}; "
                    "rename one, or predict them into two folders"
                )
            if _key(target) in sources:
                raise CliError(
                    f"predicting {str(item.image)!r} would overwrite the image {str(sources[_key(target)])!r}; "
                    "choose another --out"
                )
        jobs.append(job)
    return jobs


def _job(image: Path, stem: Path, output: str, form: str) -> Job:
    kind = "probabilities" if output == "probabilities" else "mask"
    if form == "auto":
        form = "tif" if kind == "probabilities" or _is_placed(image) else "png"

    def named(suffix: str) -> Path:
        return stem.with_name(f"{stem.name}_{suffix}")

    return Job(image, named(f"{kind}.{form}"), named("overlay.png"), named("polygons.geojson"))


def _is_placed(image: Path) -> bool:
    """Whether a picture says where on earth it lies, or which of its pixels show nothing, which PNG cannot hold."""
    if image.suffix.lower() not in _TIFF:
        return False
    try:
        return placement_of(open_source(image)) != Placement()
    except PredictError:  # said again when it is predicted
        return False


def _find(image: Path, given: Sequence[Path], out: Path, *, recursive: bool) -> Iterator[_Found]:
    if not recursive or not image.is_dir() or image.name.lower().endswith(_STORES):
        check_picture(image)
        yield _Found(image, PurePath(image.name), scanned=False)
        return
    # Several folders may have files of one name.
    several = sum(path.is_dir() for path in given) > 1
    root = PurePath(image.resolve().name) if several else PurePath()
    for path in _pictures(image, out):
        yield _Found(path, root / path.relative_to(image), scanned=True)


def _pictures(folder: Path, out: Path) -> Iterator[Path]:
    """Whatever can be read below a folder, in the order of names; hidden files and the folder of results left out."""
    suffixes, results = readable_suffixes(), out.resolve()
    for place, folders, files in os.walk(folder):
        here = Path(place)
        stores = [name for name in folders if name.lower().endswith(_STORES)]
        folders[:] = sorted(
            name
            for name in folders
            if name not in stores and not name.startswith(".") and (here / name).resolve() != results
        )
        for name in sorted([*files, *stores]):
            if not name.startswith(".") and name.lower().endswith(suffixes):
                yield here / name


def _key(path: Path) -> str:
    return str(path.resolve()).casefold()


def check_picture(path: Path) -> None:
    """Say in one line why a path cannot be a picture.

    Raises:
        CliError: it does not exist, or is a folder.
    """
    if path.is_dir() and not path.name.lower().endswith(_STORES):
        raise CliError(f"{str(path)!r} is a folder; pass image files, for example {path / '*.png'}, or --recursive")
    if not path.exists():
        raise CliError(f"image {str(path)!r} does not exist")


def check_model_folder(folder: Path) -> None:
    """Say in one line why a path cannot be a saved model; the name of a Hub repository is no folder.

    Raises:
        CliError: it does not exist, or is a file.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise CliError(f"model folder {str(folder)!r} {what}; expected one that save_pretrained or smp demo wrote")


def written_whole(target: Path) -> Path:
    """A hidden path beside a file, to write into and to move to its place when it is whole; there is nothing yet."""
    beside = target.with_name(f".{target.name}.new")
    # What a run left that was killed, or a link that would be written through.
    beside.unlink(missing_ok=True)
    return beside
