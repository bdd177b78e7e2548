"""How many tasks will start in each minute to come, and how those of a crowded minute can be moved apart."""
