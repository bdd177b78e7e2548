"""The queue for workers outside of the nodes: what each of its verbs does."""
