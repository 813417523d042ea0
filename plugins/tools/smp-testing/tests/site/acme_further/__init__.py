"""Encoders, an architecture and a neck that look right, build and run, each with one fault."""
