"""SMP's losses: `smp_losses` with SMP's signatures and values."""

from smp_compat.losses.constants import BINARY_MODE, MULTICLASS_MODE, MULTILABEL_MODE
from smp_compat.losses.dice import DiceLoss
from smp_compat.losses.focal import FocalLoss
from smp_compat.losses.jaccard import JaccardLoss
from smp_compat.losses.lovasz import LovaszLoss
from smp_compat.losses.mcc import MCCLoss
from smp_compat.losses.soft_bce import SoftBCEWithLogitsLoss
from smp_compat.losses.soft_ce import SoftCrossEntropyLoss
from smp_compat.losses.tversky import TverskyLoss

__all__ = [
    "BINARY_MODE",
    "MULTICLASS_MODE",
    "MULTILABEL_MODE",
    "DiceLoss",
    "FocalLoss",
    "JaccardLoss",
    "LovaszLoss",
    "MCCLoss",
    "SoftBCEWithLogitsLoss",
    "SoftCrossEntropyLoss",
    "TverskyLoss",
]
