"""Where things are if nothing is said: by itself, so that a client finds its node without loading all settings."""

from __future__ import annotations

from typing import Final

DEFAULT_DATA: Final = ".tocsin"
"""A node's data directory, below the one that it is started in."""

CLUSTER_DATA: Final = ".tocsin-cluster"
"""The same of a development cluster: the data directories of its nodes are in it."""
