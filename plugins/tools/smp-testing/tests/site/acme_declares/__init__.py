"""Encoders of another test distribution, with declarations of what they do not do."""
