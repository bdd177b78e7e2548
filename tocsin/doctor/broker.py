"""What is looked at of a message broker: whether it answers, and whether the queue is there and is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from runtime.errors import TocsinError

from ..channels.amqp_settings import AmqpSettings, broker_address
from .findings import Finding, bad, good, warning

SUBJECT: Final = "broker"


def of_broker(settings: AmqpSettings) -> Iterator[Finding]:
    """The broker, if there is one."""
    try:
        address = broker_address(settings)
    except TocsinError as error:
        yield bad(SUBJECT, str(error), "mend the file that it names")
        return
    if address is None:
        return
    try:
        from ..channels.amqp_connection import Consumed, look
    except ImportError:
        yield bad(SUBJECT, "the library for it is not installed", "pip install 'tocsin[amqp]'")
        return
    queue = settings.amqp_queue
    try:
        messages, consumers = look(address, Consumed(queue, settings.amqp_prefetch, "tocsin doctor", settings.amqp_ca))
    except TocsinError as error:
        yield bad(SUBJECT, f"{address}: {error}", "start it, or mend amqp.url, its password, or amqp.queue")
        return
    told = f"{address} answers; the queue {queue!r} has {messages} messages and {consumers} consumers"
    if messages and not consumers:
        yield warning(SUBJECT, told, "start a node that consumes it")
    else:
        yield good(SUBJECT, told)
