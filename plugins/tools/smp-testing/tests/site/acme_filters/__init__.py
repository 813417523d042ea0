"""Somebody else's package, as scipy: a module of it, not the package, adds filters of warnings when it is imported."""
