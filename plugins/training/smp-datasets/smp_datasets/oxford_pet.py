"""The Oxford-IIIT Pet dataset: 7,349 photographs of cats and dogs with trimaps of animal, background and outline.

Parkhi, Vedaldi, Zisserman, Jawahar: Cats and Dogs, CVPR 2012, https://www.robots.ox.ac.uk/~vgg/data/pets/
(CC BY-SA 4.0).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from smp_datasets.channels import to_channels
from smp_datasets.download import RemoteFile, fetch
from smp_datasets.errors import FileListError, OptionError, SizeMismatchError, UnpairedFilesError, UnreadableFileError
from smp_datasets.extract import extract_folder
from smp_datasets.items import Format, Item, Transform, call_with_arrays, check_format, make_item
from smp_datasets.labels import ClassIndices
from smp_datasets.pixels import Array, count
from smp_datasets.progress import Report
from smp_datasets.read import read_pixels

Mode = Literal["train", "valid", "test"]

OXFORD_PET: Mapping[str, RemoteFile] = MappingProxyType(
    {
        "images": RemoteFile(
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz", "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"
        ),
        "annotations": RemoteFile(
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
            "md5:95a8c909bbe2e81eed6a22bccdf3f68f",
        ),
    }
)
"""The folders of the dataset and the archives that hold them, about 792 and 19 MB. The checksums are torchvision's."""

_TRIMAP = ClassIndices(4, mapping={1: 1, 2: 2, 3: 3})
_BACKGROUND = 2
_SIDE = 256
_SHOWN = 20


class OxfordPetDataset(Dataset[Item]):
    """Oxford-IIIT Pet, with the names, modes, splits and items of segmentation_models_pytorch.

    An item is a dict:

    - ``"image"``: (H, W, 3) uint8, RGB; sizes differ from item to item;
    - ``"mask"``: (H, W) float32: 1 animal and its outline, 0 background;
    - ``"trimap"``: (H, W) uint8: 1 animal, 2 background, 3 outline.

    With ``format="torchvision"`` image and masks are ``tv_tensors.Image`` (3, H, W) and ``tv_tensors.Mask`` (H, W), the
    trimap int64.

    Args:
        root: the folder that holds ``images`` and ``annotations``; see :meth:`download`.
        mode: ``"train"``: 3,312 of the 3,680 images of ``trainval.txt``; ``"valid"``: every tenth of them, from the
            first; ``"test"``: the 3,669 of ``test.txt``.
        transform: ``transform(image=..., mask=..., trimap=...)``, which returns a mapping; with
            ``format="torchvision"``: ``transform(item)``.
        format: ``"numpy"`` or ``"torchvision"``.

    Attributes:
        root, mode, transform, format: as given.
        images_directory, masks_directory: where the files are.
        filenames: the images' names without extension, in the order of the list.

    Raises:
        OptionError: there is no such mode or format.
        FileListError: the dataset is not in ``root``, or its list cannot be read.
        UnpairedFilesError: files of the list are missing; names all of them at once.
        MissingDependencyError: torchvision is asked for and missing.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        mode: Mode = "train",
        transform: Transform | None = None,
        *,
        format: Format = "numpy",
    ) -> None:
        if mode not in get_args(Mode):
            raise OptionError(f"OxfordPetDataset: mode must be 'train', 'valid' or 'test', got {mode!r}")
        check_format(format)
        self.root = os.fspath(root)
        self.mode = mode
        self.transform = transform
        self.format = format
        self.images_directory = os.path.join(self.root, "images")
        self.masks_directory = os.path.join(self.root, "annotations", "trimaps")
        self.filenames = self._read_list()
        self._check_files()

    @staticmethod
    def download(
        root: str | os.PathLike[str],
        *,
        files: Mapping[str, RemoteFile] = OXFORD_PET,
        progress: bool | Report = True,
        timeout: float = 30.0,
        keep_archives: bool = False,
    ) -> None:
        """Fetch and unpack the dataset, unless it is there.

        A download that breaks off is resumed, by this call and by the next. Archives are compared with their checksums
        and unpacked beside their place first: a folder that exists is complete.

        Args:
            root: made where it is missing.
            files: folder -> the archive that holds it; for a mirror.
            progress: True writes to standard error, False is silent; a function is called with the bytes so far and
                the total or None.
            timeout: seconds to wait for the server.
            keep_archives: False deletes each archive when it is unpacked.

        Raises:
            ChecksumError, UnsafeArchiveError, DownloadError: see :mod:`smp_datasets.errors`.
        """
        Path(root).mkdir(parents=True, exist_ok=True)
        for folder, file in files.items():
            if (Path(root) / folder).is_dir():
                continue
            archive = fetch(file, root, progress=progress, timeout=timeout)
            extract_folder(archive, folder, root)
            if not keep_archives:
                archive.unlink()

    def __len__(self) -> int:
        """The number of images."""
        return len(self.filenames)

    def __getitem__(self, idx: int) -> Item:
        """One item, after the transform; the class says what it is.

        Raises:
            IndexError: there is no such item.
            UnreadableFileError, SizeMismatchError, LabelError: a file is not as it should be.
            TypeError: the transform gave no mapping.
        """
        image, masks = self._read(idx)
        return make_item(image, masks, self.transform, self.format)

    def _read(self, idx: int) -> tuple[Array, dict[str, Array]]:
        image = read_pixels(self._image(self.filenames[idx]), upright=False)
        trimap = read_pixels(self._mask(self.filenames[idx]), as_mask=True, upright=False)
        if image.values.shape[:2] != trimap.values.shape[:2]:
            raise SizeMismatchError(
                f"image {image.path!r} is {image.size} pixels (height x width), but its trimap {trimap.path!r} is "
                f"{trimap.size}; expected equal sizes"
            )
        # Some files of the dataset are grey, have alpha or a palette, or are no JPEG by content.
        pixels, values = to_channels(image, 3), _TRIMAP.encode(trimap)
        return pixels, {"mask": (values != _BACKGROUND).astype(np.float32), "trimap": values}

    def _image(self, name: str) -> str:
        return os.path.join(self.images_directory, name + ".jpg")

    def _mask(self, name: str) -> str:
        return os.path.join(self.masks_directory, name + ".png")

    def _read_list(self) -> list[str]:
        path = os.path.join(self.root, "annotations", "test.txt" if self.mode == "test" else "trainval.txt")
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise FileListError(
                f"cannot read the list {path!r} ({error}); OxfordPetDataset.download({self.root!r}) fetches the dataset"
            ) from error
        names = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
        if self.mode == "valid":
            return names[::10]
        return names if self.mode == "test" else [name for number, name in enumerate(names) if number % 10]

    def _check_files(self) -> None:
        images = [path for path in map(self._image, self.filenames) if not os.path.isfile(path)]
        masks = [path for path in map(self._mask, self.filenames) if not os.path.isfile(path)]
        missing = [*images, *masks]
        if missing:
            more = "" if len(missing) <= _SHOWN else f" and {len(missing) - _SHOWN} more"
            raise UnpairedFilesError(
                f"{count(len(missing), 'file')} of the dataset missing: "
                f"{', '.join(map(repr, missing[:_SHOWN]))}{more}; "
                f"delete their folder and call OxfordPetDataset.download({self.root!r})",
                tuple(images),
                tuple(masks),
            )


class SimpleOxfordPetDataset(OxfordPetDataset):
    """:class:`OxfordPetDataset`, resized to 256x256 with the channels first, so that items can be batched.

    An item: ``"image"`` (3, 256, 256) uint8, bilinear; ``"mask"`` (1, 256, 256) float32 and ``"trimap"``
    (1, 256, 256) uint8, nearest. With ``format="numpy"`` the transform is called before resizing, on (H, W, 3) and
    (H, W), as in segmentation_models_pytorch, and must leave the image uint8; with ``format="torchvision"`` it is
    called last, on tensors of the final shapes.

    Arguments, attributes and errors are those of :class:`OxfordPetDataset`.
    """

    def __getitem__(self, idx: int) -> Item:
        """One item; see the class.

        Raises:
            UnreadableFileError: also where the transform's result cannot be resized.
        """
        image, masks = self._read(idx)
        if self.format == "torchvision":
            small = {key: _resize(mask, Image.Resampling.NEAREST)[None] for key, mask in masks.items()}
            return make_item(_resize(image, Image.Resampling.BILINEAR), small, self.transform, self.format)
        item = call_with_arrays(self.transform, {"image": image, **masks})
        name = self._image(self.filenames[idx])
        item["image"] = _resize(item["image"], Image.Resampling.BILINEAR, name).transpose(2, 0, 1)
        for key in masks:
            item[key] = _resize(item[key], Image.Resampling.NEAREST, name)[None]
        return {key: np.ascontiguousarray(value) if key in ("image", *masks) else value for key, value in item.items()}


def _resize(values: Array, method: Image.Resampling, name: str = "") -> Array:
    try:
        return np.array(Image.fromarray(values).resize((_SIDE, _SIDE), method))
    except (TypeError, ValueError, AttributeError) as error:
        kind = (
            f"{values.dtype} array of shape {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        )
        raise UnreadableFileError(
            f"{name!r}: after the transform it is {kind}; SimpleOxfordPetDataset resizes uint8 images "
            "(height, width, 3) and masks (height, width) as arrays; normalise later, or use OxfordPetDataset"
        ) from error
