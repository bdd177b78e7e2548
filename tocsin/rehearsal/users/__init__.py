"""Rehearsals of users: their definitions, or their own tests, on the stage, with the quiet between two events left out."""
