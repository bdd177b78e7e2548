"""Decisions in pure functions: what becomes of nominal times, executions, definitions, and of what follows them."""
