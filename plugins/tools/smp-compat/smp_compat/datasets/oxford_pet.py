"""The Oxford-IIIT Pet dataset with SMP's signature."""

from __future__ import annotations

import os

import smp_datasets
from smp_compat._not_provided import raises_for
from smp_datasets.items import Transform
from smp_datasets.oxford_pet import Mode

__all__ = ["OxfordPetDataset", "SimpleOxfordPetDataset"]


class OxfordPetDataset(smp_datasets.OxfordPetDataset):
    """See `smp_datasets.OxfordPetDataset`; arrays."""

    def __init__(self, root: str | os.PathLike[str], mode: Mode = "train", transform: Transform | None = None) -> None:
        super().__init__(root, mode, transform)


class SimpleOxfordPetDataset(smp_datasets.SimpleOxfordPetDataset):
    """See `smp_datasets.SimpleOxfordPetDataset`; arrays."""

    def __init__(self, root: str | os.PathLike[str], mode: Mode = "train", transform: Transform | None = None) -> None:
        super().__init__(root, mode, transform)


__getattr__ = raises_for(__name__)
