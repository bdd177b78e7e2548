"""Rehearsal: whole clusters under faults on virtual time, the checker that judges what came of it, and drills on live ones."""
