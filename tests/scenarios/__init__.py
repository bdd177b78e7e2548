"""Behaviour over much time, on a node whose time is virtual."""
