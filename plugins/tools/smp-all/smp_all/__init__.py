"""Nothing of its own: its dependencies are every distribution of smp-core."""

__version__ = "1.0.0"
