"""The version of smp-core."""

__version__ = "1.0.0"
