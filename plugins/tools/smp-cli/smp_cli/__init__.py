"""The `smp` command: list, inspect, try out and use the segmentation models that are installed."""

__version__ = "1.0.0"
