"""Encoders and architectures each of which breaks one rule, and one of each that breaks none."""
