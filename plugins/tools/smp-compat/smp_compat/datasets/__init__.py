"""SMP's datasets."""

from smp_compat.datasets.oxford_pet import OxfordPetDataset, SimpleOxfordPetDataset

__all__ = ["OxfordPetDataset", "SimpleOxfordPetDataset"]
