"""Building the parts of a model: what specs name is imported, called, and compared with what they declare."""
