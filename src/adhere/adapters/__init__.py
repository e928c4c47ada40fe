"""Where things are in each model family."""
