"""Which mask belongs to which image: the one of the same name, below its own folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from smp_datasets.errors import FileListError, OptionError, UnpairedFilesError
from smp_datasets.pixels import count
from smp_datasets.read import EXTENSIONS, STORES

_SHOWN = 20
"""So many files of a kind are listed in an error."""

Pair = tuple[str, str, str]
"""Name, path of the image, path of the mask."""


def find_pairs(
    images: str | os.PathLike[str],
    masks: str | os.PathLike[str],
    image_suffix: str = "",
    mask_suffix: str = "",
    names: Sequence[str] | None = None,
    *,
    image_prefix: str = "",
    mask_prefix: str = "",
) -> list[Pair]:
    """Pair the files of two folders by name.

    A name is the path below the folder, with ``/`` between its parts, without extension, prefix and suffix:
    ``images/town/a.jpg`` and ``masks/town/a_mask.png`` are both ``town/a`` where the mask suffix is ``_mask``. Hidden
    files, and files with extensions that no image has, are passed over; so are files without the prefix or suffix.

    Args:
        images: a folder, with any folders below it.
        masks: a folder; it may be the same one, or lie in it.
        image_suffix: end of the images' names, before the extension.
        mask_suffix: end of the masks' names.
        names: only these, in this order; None: all, sorted.
        image_prefix: beginning of the images' names, after the folders.
        mask_prefix: beginning of the masks' names.

    Returns:
        Name, path of the image and path of the mask, for each.

    Raises:
        FileListError: a folder is missing, is empty, or holds two files of one name.
        UnpairedFilesError: files have no partner; lists all that lack one.
        OptionError: the folders are one, and prefixes and suffixes too; a name comes twice.
    """
    image_root, mask_root = os.fspath(images), os.fspath(masks)
    is_one_folder = os.path.realpath(image_root) == os.path.realpath(mask_root)
    image_affixes, mask_affixes = (image_prefix, image_suffix), (mask_prefix, mask_suffix)
    if is_one_folder and image_affixes == mask_affixes:
        begin = f" and begin with {mask_prefix!r}" if mask_prefix else ""
        raise OptionError(
            f"images and masks are both in {image_root!r} and both end in {mask_suffix!r}{begin}; "
            "expected different suffixes, prefixes or folders"
        )
    none = ("", "")
    found_masks = _by_name(mask_root, mask_affixes, other=none if not is_one_folder else image_affixes, without=None)
    other = mask_affixes if is_one_folder else none
    found_images = _by_name(image_root, image_affixes, other, without=None if is_one_folder else mask_root)
    if names is not None:
        return _choose(names, found_images, found_masks, image_root, mask_root)
    lonely_images = [path for name, path in sorted(found_images.items()) if name not in found_masks]
    lonely_masks = [path for name, path in sorted(found_masks.items()) if name not in found_images]
    if lonely_images or lonely_masks:
        raise _unpaired(lonely_images, lonely_masks, image_root, mask_root)
    return [(name, path, found_masks[name]) for name, path in sorted(found_images.items())]


_Affixes = tuple[str, str]
"""Prefix and suffix."""


def _without_affixes(stem: str, affixes: _Affixes) -> str | None:
    """A name without prefix and suffix; None: it does not have both."""
    prefix, suffix = affixes
    folder, slash, name = stem.rpartition("/")
    if not (name.startswith(prefix) and name.endswith(suffix) and len(name) >= len(prefix) + len(suffix)):
        return None
    return folder + slash + name.removeprefix(prefix).removesuffix(suffix)


def _by_name(root: str, affixes: _Affixes, other: _Affixes, without: str | None) -> dict[str, str]:
    """Name -> path of every file below a folder; ``other`` are the affixes of the files that are of the other kind."""
    if not os.path.isdir(root):
        raise FileListError(f"{root!r} is no folder; expected one that holds files with {', '.join(EXTENSIONS)}")
    found: dict[str, str] = {}
    twice: list[str] = []
    for path in _walk(root, without):
        stem = Path(path).relative_to(root).with_suffix("").as_posix()
        name = _without_affixes(stem, affixes)
        # The longer ones decide: "a_mask" ends in "" too.
        longer = sum(map(len, other)) > sum(map(len, affixes))
        if name is None or (longer and _without_affixes(stem, other) is not None):
            continue
        if name in found:
            twice.append(f"{found[name]!r} and {path!r}")
        found.setdefault(name, path)
    if twice:
        raise FileListError(
            f"{count(len(twice), 'name')} in {root!r} with two files: {_listed(twice)}; remove one of each"
        )
    if not found:
        prefix, suffix = affixes
        ending = f" whose names end in {suffix!r}" if suffix else ""
        ending += f"{' and' if suffix else ' whose names'} begin with {prefix!r}" if prefix else ""
        raise FileListError(f"{root!r} holds no files{ending} with {', '.join(EXTENSIONS)}")
    return found


def _walk(root: str, without: str | None) -> Iterable[str]:
    """Paths of the files below a folder that an image could be in; links to folders are followed, each folder once."""
    barred = {os.path.realpath(without)} if without is not None else set()
    for folder, folders, files in os.walk(root, followlinks=True):
        inner = []
        stores = [name for name in folders if name.lower().endswith(STORES)]
        for name in sorted(set(folders).difference(stores)):
            real = os.path.realpath(os.path.join(folder, name))
            if not name.startswith(".") and real not in barred:
                barred.add(real)
                inner.append(name)
        folders[:] = inner
        for name in sorted([*files, *stores]):
            if not name.startswith(".") and name.lower().endswith(EXTENSIONS):
                yield os.path.join(folder, name)


def _choose(
    names: Sequence[str], images: dict[str, str], masks: dict[str, str], image_root: str, mask_root: str
) -> list[Pair]:
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise OptionError(f"names must differ, but these come twice: {_listed(list(map(repr, repeated)))}")
    sides = ((images, image_root), (masks, mask_root))
    missing = [f"{name!r} in {root!r}" for found, root in sides for name in names if name not in found]
    if missing:
        raise FileListError(f"{count(len(missing), 'file')} named in names= and not found: {_listed(missing)}")
    return [(name, images[name], masks[name]) for name in names]


def _unpaired(images: list[str], masks: list[str], image_root: str, mask_root: str) -> UnpairedFilesError:
    parts = []
    for files, noun, partner, root in ((images, "image", "a mask", mask_root), (masks, "mask", "an image", image_root)):
        if files:
            listed = _listed(list(map(repr, files)))
            parts.append(f"{count(len(files), noun)} without {partner} in {root!r}: {listed}")
    advice = (
        "a pair has one name below both folders; see image_suffix, mask_suffix, image_prefix, mask_prefix and names"
    )
    return UnpairedFilesError("; ".join([*parts, advice]), tuple(images), tuple(masks))


def _listed(items: list[str]) -> str:
    more = "" if len(items) <= _SHOWN else f" and {len(items) - _SHOWN} more"
    return ", ".join(items[:_SHOWN]) + more
