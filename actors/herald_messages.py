"""The herald's vocabulary. `Happened`, which it hears, is the keeper's word."""

from __future__ import annotations

from .keeper_messages import Happened

Event = Happened
