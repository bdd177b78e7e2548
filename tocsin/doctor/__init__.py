"""What may be wrong with a node and what it stands on, and what to do about it."""
