"""Encoders, architectures and a neck, each with one fault that one check is to find."""
