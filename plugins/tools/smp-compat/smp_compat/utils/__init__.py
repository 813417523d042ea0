"""SMP's old trainer: losses, metrics, meters and epochs. Deprecated there and here."""

import warnings

from smp_compat.utils import base, functional, losses, meter, metrics, train

__all__ = ["base", "functional", "losses", "meter", "metrics", "train"]

warnings.warn(
    "smp_compat.utils is deprecated, as segmentation_models_pytorch.utils is: write the training loop yourself or with "
    "a library such as Lightning, with smp_compat.losses and smp_compat.metrics",
    DeprecationWarning,
    stacklevel=2,
)
