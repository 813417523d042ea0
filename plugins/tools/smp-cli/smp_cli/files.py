"""What ``smp predict`` reads and writes, checked before torch is imported and anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smp_cli.errors import CliError


@dataclass(frozen=True)
class Job:
    """One picture and what is written for it."""

    image: Path
    mask: Path
    overlay: Path


def plan(images: Sequence[Path], out: Path) -> list[Job]:
    """The files to write, none of which replaces an input or another output.

    Names are compared without case, as some file systems do.

    Raises:
        CliError: a picture is missing, or two files would have one name.
    """
    jobs = []
    sources = {_key(image): image for image in images}
    taken: dict[str, Path] = {}
    for image in images:
        check_picture(image)
        job = Job(image, out / f"{image.stem}_mask.png", out / f"{image.stem}_overlay.png")
        for target in (job.mask, job.overlay):
            other = taken.setdefault(_key(target), image)
            if other is not image:
                raise CliError(
                    f"{str(other)!r} and {str(image)!r} would both write {str(target)!r}; "
                    "rename one, or predict them into two folders"
                )
            if _key(target) in sources:
                raise CliError(
                    f"predicting {str(image)!r} would overwrite the image {str(sources[_key(target)])!r}; "
                    "choose another --out"
                )
        jobs.append(job)
    return jobs


def _key(path: Path) -> str:
    return str(path.resolve()).casefold()


def check_picture(path: Path) -> None:
    """Say in one line why a path cannot be a picture.

    Raises:
        CliError: it does not exist, or is a folder.
    """
    if path.is_dir():
        raise CliError(f"{str(path)!r} is a folder; pass image files, for example {path / '*.png'}")
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
