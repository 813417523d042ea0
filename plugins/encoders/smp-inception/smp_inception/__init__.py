"""Inception-v4 and Inception-ResNet-v2 encoders for smp-core."""

__version__ = "1.0.0"
