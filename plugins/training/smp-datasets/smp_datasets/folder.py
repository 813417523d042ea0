"""A folder of images and a folder of masks, as a dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence

from torch.utils.data import Dataset

from smp_datasets.channels import to_channels
from smp_datasets.errors import FileError, OptionError, SizeMismatchError
from smp_datasets.items import Format, Item, Transform, check_format, make_item
from smp_datasets.labels import Labels
from smp_datasets.pairs import find_pairs
from smp_datasets.pixels import Array, count
from smp_datasets.read import read_pixels

_SHOWN = 20


class FolderDataset(Dataset[Item]):
    """Images in one folder, masks of the same names in another.

    Files are PNG, JPEG, TIFF, BMP, WebP, GIF, .pgm, .ppm, .npy or .npz, in any mixture; :mod:`smp_datasets.read` says
    what is read by what. A name is the path below the folder without its extension; :func:`smp_datasets.find_pairs` has
    the rules.
    Folders are listed once, here; files are opened when an item is asked for and closed again, so that the dataset
    goes to the workers of a ``DataLoader`` by any start method. Items come in the order of ``names``.

    An item is a dict with ``"image"`` and ``"mask"``:

    - ``format="numpy"``: image (H, W, C), in dtype and range of the file (uint8, uint16, float32, ...); mask (H, W),
      as ``labels`` makes it. ``transform(image=..., mask=...)`` must return a mapping, as albumentations does.
    - ``format="torchvision"``: image (C, H, W), ``tv_tensors.Image``; mask (H, W), ``tv_tensors.Mask``, int64 for
      classes and float32 for binary masks. ``transform(item)``, as ``torchvision.transforms.v2`` has it.

    Args:
        images: folder.
        masks: folder; may be the same where a suffix or prefix tells the files apart.
        labels: what the pixels of a mask mean: :class:`ClassIndices`, :class:`ColourMap`, :class:`Binary`, or your own.
        channels: of the images. None: as in each file. 3: grey is repeated, alpha left out. 1: the grey of colours.
            Other numbers: as in the file, or an error.
        names: only these, in this order, such as a part that :func:`split` gives; files of other names are not
            looked at. None: all, sorted, and each file must have its partner.
        image_suffix, mask_suffix: ends of the files' names that are not part of the name.
        image_prefix, mask_prefix: beginnings of the files' names that are not part of the name.
        transform: applied to each item.
        format: ``"numpy"``, or ``"torchvision"``, which needs torchvision.
        upright: turn pictures as their EXIF data say.

    Attributes:
        names, images, masks: name, path of the image and path of the mask of each item.

    Raises:
        FileListError: no folder, no files, two files of one name, or a name that is not there.
        UnpairedFilesError: files without partner, all at once.
        OptionError, MissingDependencyError: see ``format`` and the suffixes.

    >>> from smp_datasets import Binary, micrograph_paths
    >>> folder = micrograph_paths().image.parent
    >>> data = FolderDataset(folder, folder, Binary(), image_suffix="img2d", mask_suffix="mask2d")
    >>> data[0]["image"].shape, data[0]["mask"].shape
    ((512, 512, 1), (512, 512))
    """

    def __init__(
        self,
        images: str | os.PathLike[str],
        masks: str | os.PathLike[str],
        labels: Labels,
        *,
        channels: int | None = None,
        names: Sequence[str] | None = None,
        image_suffix: str = "",
        mask_suffix: str = "",
        image_prefix: str = "",
        mask_prefix: str = "",
        transform: Transform | None = None,
        format: Format = "numpy",
        upright: bool = True,
    ) -> None:
        check_format(format)
        if channels is not None and channels < 1:
            raise OptionError(f"channels must be 1 or more, or None for those of each file; got {channels}")
        pairs = find_pairs(
            images, masks, image_suffix, mask_suffix, names, image_prefix=image_prefix, mask_prefix=mask_prefix
        )
        self.names = [name for name, _, _ in pairs]
        self.images = [image for _, image, _ in pairs]
        self.masks = [mask for _, _, mask in pairs]
        self.labels = labels
        self.channels = channels
        self.transform = transform
        self.format = format
        self.upright = upright

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.names)

    def __getitem__(self, index: int) -> Item:
        """One item, after the transform; the class says what it is.

        Raises:
            IndexError: there is no such item.
            UnreadableFileError, ChannelMismatchError, SizeMismatchError, LabelError: a file is not as it should be.
            MissingDependencyError: a TIFF needs tifffile.
            TypeError: the transform gave no mapping.
        """
        image, mask = self.read(index)
        return make_item(image, {"mask": mask}, self.transform, self.format)

    def read(self, index: int) -> tuple[Array, Array]:
        """Image (H, W, C) and mask (H, W) of one item as arrays, without the transform; raises as ``[index]`` does."""
        image = read_pixels(self.images[index], upright=self.upright)
        mask = read_pixels(self.masks[index], as_mask=True, upright=self.upright)
        if image.values.shape[:2] != mask.values.shape[:2]:
            turned = image.values.shape[:2] == mask.values.shape[1::-1]
            hint = "; if only one of them is turned by its EXIF data, try upright=False" if turned else ""
            raise SizeMismatchError(
                f"image {image.path!r} is {image.size} pixels (height x width), but its mask {mask.path!r} is "
                f"{mask.size}; expected equal sizes{hint}"
            )
        return to_channels(image, self.channels), self.labels.encode(mask)

    def check(self) -> None:
        """Read every pair once, without the transform.

        Raises:
            FileError: files are not as they should be; of several, the message lists all, one a line.
            MissingDependencyError: a TIFF needs tifffile.
        """
        problems: list[FileError] = []
        for index in range(len(self)):
            problem = self._problem(index)
            if problem is not None:
                problems.append(problem)
        if len(problems) == 1:
            raise problems[0]
        if problems:
            lines = [f"{count(len(problems), 'pair')} of {len(self)} cannot be used:", *map(str, problems[:_SHOWN])]
            if len(problems) > _SHOWN:
                lines.append(f"and {len(problems) - _SHOWN} more")
            raise FileError("\n".join(lines))

    def _problem(self, index: int) -> FileError | None:
        try:
            self.read(index)
        except FileError as error:
            return error
        return None
