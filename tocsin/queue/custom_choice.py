"""Which queue of the user's own a node has, as it is configured."""

from __future__ import annotations

from collections.abc import Callable

from actors.job_queue import JobQueueConfig
from runtime.clock import SECOND
from runtime.world import World

from ..settings.cluster_config import first_line
from .custom_link import InThread, Link, load_queue
from .settings import QueueSettings


def link_maker(settings: QueueSettings) -> Callable[[World], Link]:
    """What makes the way to the queue. Raises InvalidRequest if there is no such class, or its token cannot be read."""
    use = settings.queue_use
    if "://" in use:
        from .custom_remote import Remote

        token = first_line("queue.token_file", settings.queue_token_file) if settings.queue_token_file else None
        return lambda _world: Remote(use, token, settings.queue_deadline / SECOND)
    make = load_queue(use)
    return lambda world: InThread(use, make(), world)


def job_queue_config(settings: QueueSettings) -> JobQueueConfig | None:
    """The settings as the floor below takes them; None without a queue of the user's."""
    if not settings.queue_use:
        return None
    return JobQueueConfig(
        link_maker(settings),
        frozenset(settings.queue_names),
        settings.queue_deadline / SECOND,
        settings.queue_hold / SECOND,
    )
