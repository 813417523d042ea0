"""Every timm model as an encoder for smp-core."""

__version__ = "1.0.0"
