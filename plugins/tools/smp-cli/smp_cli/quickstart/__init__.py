"""``smp demo``: train on a real micrograph, score, save, load back, and draw the result."""
