"""A plugin that does at import what no plugin should."""
