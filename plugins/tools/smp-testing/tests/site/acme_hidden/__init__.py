"""Encoders with one fault each, which no shape shows."""
