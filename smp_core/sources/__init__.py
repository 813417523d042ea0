"""Where things are: what a user's path or repository means, and fetching from the Hub. Nothing here imports torch."""
