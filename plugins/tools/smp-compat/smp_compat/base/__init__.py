"""What all models are made of."""

from smp_compat.base.heads import ClassificationHead, SegmentationHead
from smp_compat.base.model import SegmentationModel
from smp_compat.base.modules import Attention, Conv2dReLU

__all__ = ["Attention", "ClassificationHead", "Conv2dReLU", "SegmentationHead", "SegmentationModel"]
