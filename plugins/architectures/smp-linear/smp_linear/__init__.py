"""A linear head over any encoder, for smp-core."""

__version__ = "1.0.0"
