"""Immutable records and pure functions: what a task is and what becomes of it."""
