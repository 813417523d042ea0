"""The DeepLabV3 and DeepLabV3+ architectures for smp-core."""

__version__ = "1.0.0"
