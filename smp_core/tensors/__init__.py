"""Tensors: reading, translating and fitting state dicts, and saved models over them."""
