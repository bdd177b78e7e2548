"""Handlers in processes of their own."""

from __future__ import annotations

from runtime.world import World

from ..catalogue import TaskType
from ..context import Context


async def run_in_process(world: World, entry: TaskType, context: Context) -> object:
    """placeholder"""
    raise NotImplementedError
