"""The fluent way to make a task: when it runs, and how."""
