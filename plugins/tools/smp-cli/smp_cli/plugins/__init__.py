"""``smp plugins``: what is installed, what is wrong with it, and plugins of one's own. Nothing here imports torch."""
