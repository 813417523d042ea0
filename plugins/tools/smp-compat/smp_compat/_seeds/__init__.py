"""From the same seed the same random weights as SMP's, and the same state of the random generator after them."""
