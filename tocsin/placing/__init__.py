"""Strategies of placement that users write."""
