"""Pre-training: the loop, and what is seen while it goes on."""
