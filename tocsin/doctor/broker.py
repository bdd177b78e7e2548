"""What is looked at of a message broker: whether it answers, and whether the queue is there and is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from runtime.errors import TocsinError

from ..channels.amqp_settings import AmqpSettings, broker_address
from .findings import Finding, bad, good, warning

SUBJECT: Final = "broker"

NO_REQUESTS: Final = "no request that comes through it is carried out"


def of_broker(settings: AmqpSettings) -> Iterator[Finding]:
    """The broker, if there is one."""
    try:
        address = broker_address(settings)
    except TocsinError as error:
        yield bad(SUBJECT, str(error), NO_REQUESTS, "mend the file that it names")
        return
    if address is None:
        return
    try:
        from ..channels.amqp_connection import Consumed, look
    except ImportError:
        yield bad(SUBJECT, "the library for it is not installed", NO_REQUESTS, "pip install 'tocsin[amqp]'")
        return
    queue = settings.amqp_queue
    try:
        messages, consumers = look(address, Consumed(queue, settings.amqp_prefetch, "tocsin doctor", settings.amqp_ca))
    except TocsinError as error:
        advice = "start it, or mend amqp.url, its password, or amqp.queue"
        yield bad(SUBJECT, f"{address}: {error}", NO_REQUESTS, advice)
        return
    told = f"{address} answers; the queue {queue!r} has {messages} messages and {consumers} consumers"
    if messages and not consumers:
        yield warning(SUBJECT, told, "these requests wait and nobody answers them", "start a node that consumes it")
    else:
        yield good(SUBJECT, told)
