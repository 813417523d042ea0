"""Specs and weights alone: the implementation is of another distribution."""
