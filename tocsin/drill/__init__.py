"""Drills: something is done to a running cluster, and what its canaries tell of it is measured and judged."""
