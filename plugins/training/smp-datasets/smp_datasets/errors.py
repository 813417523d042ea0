"""What can go wrong with datasets. Every error names the file, the option or the address that it is about.

    DatasetError
    ├── FileListError (ValueError)             what lies in the folders does not make a dataset
    │   └── UnpairedFilesError                 images without masks, masks without images: all of them at once
    ├── FileError (ValueError)                 one file is not what it should be
    │   ├── UnreadableFileError                damaged, or of a kind that cannot be read without loss
    │   ├── ChannelMismatchError               an image has other channels than were asked for
    │   ├── SizeMismatchError                  an image and its mask differ in height or width
    │   └── LabelError                         a mask holds a value or a colour that is no class
    ├── OptionError (ValueError)               an argument makes no sense
    ├── MissingDependencyError (ImportError)   an optional package is needed
    └── DownloadError (OSError)                a file could not be fetched
        ├── ChecksumError                      it was fetched, and is not the file that it should be
        └── UnsafeArchiveError                 an archive would write where it has no business

Each takes its message alone, so that it passes from a loader's worker process to the training loop as it is.
"""

from __future__ import annotations


class DatasetError(Exception):
    """Base of all errors of this package."""


class FileListError(DatasetError, ValueError):
    """What lies in the folders does not make a dataset: no files, or several under one name."""


class UnpairedFilesError(FileListError):
    """Images without masks or masks without images.

    Attributes:
        images: paths of the images that have no mask.
        masks: paths of the masks that have no image.
    """

    def __init__(self, message: str, images: tuple[str, ...] = (), masks: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.images = images
        self.masks = masks


class FileError(DatasetError, ValueError):
    """A file is not what it should be."""


class UnreadableFileError(FileError):
    """A file is missing, damaged, no image, or of a kind that could only be read with loss."""


class ChannelMismatchError(FileError):
    """An image has channels that cannot stand for those asked for."""


class SizeMismatchError(FileError):
    """An image and its mask differ in height or width."""


class LabelError(FileError):
    """A mask holds values or colours that are no class, or has channels where it should have one."""


class OptionError(DatasetError, ValueError):
    """An argument makes no sense."""


class MissingDependencyError(DatasetError, ImportError):
    """An optional package is needed and not installed."""


class DownloadError(DatasetError, OSError):
    """A file could not be fetched."""


class ChecksumError(DownloadError):
    """A fetched file has another checksum than it should."""


class UnsafeArchiveError(DownloadError):
    """An archive holds links, devices, or names that lead out of its folder."""
