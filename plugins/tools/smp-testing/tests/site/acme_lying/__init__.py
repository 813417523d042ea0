"""An encoder whose spec says another licence than its distribution."""
