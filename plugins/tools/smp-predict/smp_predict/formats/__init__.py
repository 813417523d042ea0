"""File formats: which one a name has, its own and those of plugins."""

from smp_predict.formats.choosing import Writer, open_source, readable_suffixes, writer_for

__all__ = ["Writer", "open_source", "readable_suffixes", "writer_for"]
