"""Of the segmentation_models_pytorch whose names these are."""

__version__ = "0.6.0"
