"""An encoder whose implementation does not import."""
