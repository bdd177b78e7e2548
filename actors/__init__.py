"""Floor 2: the scheduler: its model, its store, and the actors that act."""
