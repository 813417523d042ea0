"""Losses for semantic segmentation: tensors in, one tensor out. Knows nothing of models; needs torch alone."""

from smp_losses.compose import Loss, LossSum
from smp_losses.dice import DiceLoss
from smp_losses.focal import FocalLoss
from smp_losses.inputs import set_label_checks
from smp_losses.jaccard import JaccardLoss
from smp_losses.lovasz import LovaszLoss
from smp_losses.mcc import MCCLoss
from smp_losses.modes import BINARY_MODE, MULTICLASS_MODE, MULTILABEL_MODE
from smp_losses.soft_bce import SoftBCEWithLogitsLoss
from smp_losses.soft_ce import SoftCrossEntropyLoss
from smp_losses.tversky import TverskyLoss

__version__ = "1.0.0"

__all__ = [
    "BINARY_MODE",
    "MULTICLASS_MODE",
    "MULTILABEL_MODE",
    "DiceLoss",
    "FocalLoss",
    "JaccardLoss",
    "Loss",
    "LossSum",
    "LovaszLoss",
    "MCCLoss",
    "SoftBCEWithLogitsLoss",
    "SoftCrossEntropyLoss",
    "TverskyLoss",
    "set_label_checks",
]
