"""Encoders, architectures and a neck of many kinds, with nothing wrong."""
