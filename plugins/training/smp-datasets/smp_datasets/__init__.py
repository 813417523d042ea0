"""Datasets for semantic segmentation: folders, windows of large images, Oxford-IIIT Pet, one micrograph; stable splits.

Knows nothing of models. Items are NumPy arrays, or torchvision's tensors where that is asked for.
"""

from smp_datasets.download import RemoteFile, fetch
from smp_datasets.errors import (
    ChannelMismatchError,
    ChecksumError,
    DatasetError,
    DownloadError,
    FileError,
    FileListError,
    LabelError,
    MissingDependencyError,
    OptionError,
    SizeMismatchError,
    UnpairedFilesError,
    UnreadableFileError,
    UnsafeArchiveError,
)
from smp_datasets.folder import FolderDataset
from smp_datasets.labels import Binary, ClassIndices, ColourMap, Labels
from smp_datasets.micrograph import MicrographDataset, micrograph, micrograph_paths
from smp_datasets.oxford_pet import OXFORD_PET, OxfordPetDataset, SimpleOxfordPetDataset
from smp_datasets.pairs import find_pairs
from smp_datasets.pixels import Pixels
from smp_datasets.read import read_pixels
from smp_datasets.split import split
from smp_datasets.windows import WindowDataset

__version__ = "1.0.0"

__all__ = [
    "OXFORD_PET",
    "Binary",
    "ChannelMismatchError",
    "ChecksumError",
    "ClassIndices",
    "ColourMap",
    "DatasetError",
    "DownloadError",
    "FileError",
    "FileListError",
    "FolderDataset",
    "LabelError",
    "Labels",
    "MicrographDataset",
    "MissingDependencyError",
    "OptionError",
    "OxfordPetDataset",
    "Pixels",
    "RemoteFile",
    "SimpleOxfordPetDataset",
    "SizeMismatchError",
    "UnpairedFilesError",
    "UnreadableFileError",
    "UnsafeArchiveError",
    "WindowDataset",
    "fetch",
    "find_pairs",
    "micrograph",
    "micrograph_paths",
    "read_pixels",
    "split",
]
