"""Rehearsal: whole clusters of real nodes under faults, on virtual time."""
