"""The version of this distribution; `smp_compat.__version__` is that of the SMP whose surface it has."""

__version__ = "1.0.0"
