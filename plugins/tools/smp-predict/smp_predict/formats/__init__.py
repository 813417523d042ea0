"""File formats: which one a name has, its own and those of plugins."""

from smp_predict.formats.choosing import open_source, readable_suffixes, writer_for

__all__ = ["open_source", "readable_suffixes", "writer_for"]
