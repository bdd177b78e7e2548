"""Floor 1: the actor runtime and the cluster fabric. Knows nothing of tasks or schedules."""
