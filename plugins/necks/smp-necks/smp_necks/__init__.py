"""Necks for smp-core: they give any encoder's features the reductions 4, 8, 16 and 32."""

__version__ = "1.0.0"
