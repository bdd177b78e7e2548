"""One connection to a message broker, and the door to pika.

It is owned by the one thread that `serve` runs in: everything that the loop wants done is left for that thread, and everything
that it has to tell goes through `tell`. What the loop wants when the connection is gone is dropped: the broker delivers again
what nobody has acknowledged.
"""

from __future__ import annotations

import logging
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import attrs
import pika
from pika import exceptions as refusals
from pika.adapters.blocking_connection import BlockingChannel

from runtime.errors import PeerUnreachable
from runtime.tls import trusting
from runtime.traceparent import HEADER

from .amqp_core import JSON_TYPE, Message, Reply
from .amqp_settings import BrokerAddress

CONNECT_SECONDS: Final = 10.0
"""For the connection itself; the whole of the greeting takes another half of it at the most."""

HEARTBEAT_SECONDS: Final = 30
"""Both sides say something this often; who is silent for twice as long is gone."""

BLOCKED_SECONDS: Final = 30.0
"""A broker that is short of memory or disk takes nothing; after this another connection is tried."""

_LOOK_SECONDS: Final = 1.0
"""How often the thread looks whether its channel is still open, when nothing wakes it."""

_PERSISTENT: Final = 2

# What goes wrong is told by `serve`, once; the library tells it several times, with the library's own frames.
logging.getLogger("pika").setLevel(logging.CRITICAL)

Told = Message | None
"""None: messages come from now on."""


@attrs.frozen
class Consumed:
    """What to consume. `name`: what operators of the broker see."""

    queue: str
    prefetch: int
    name: str
    ca: str = ""


class BrokerConnection:
    """See the module's docstring. tell: called in the thread, with None once and then with messages."""

    def __init__(self, address: BrokerAddress, consumed: Consumed, tell: Callable[[Told], None]) -> None:
        self._address = address
        self._consumed = consumed
        self._tell = tell
        self._steps: deque[Callable[[BlockingChannel], None]] = deque()
        self._connection: pika.BlockingConnection | None = None
        self._wanted = True
        self._consumer = ""
        self._lost = ""
        self._closing = False

    # -- in the thread

    def serve(self) -> str:
        """Connect, consume and do what is wanted, until the connection is closed or lost. Answers why, empty if it was closed."""
        try:
            self._connection = pika.BlockingConnection(_parameters(self._address, self._consumed))
            try:
                self._serve(self._connection)
            finally:
                _end(self._connection)
        except (refusals.AMQPError, OSError) as error:
            return "" if self._closing else _said(error)
        return self._lost

    def _serve(self, connection: pika.BlockingConnection) -> None:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=self._consumed.prefetch)
        channel.confirm_delivery()
        channel.add_on_cancel_callback(self._on_cancelled)
        self._follow(channel)
        self._tell(None)
        while not (self._closing or self._lost):
            connection.process_data_events(_LOOK_SECONDS)
            # Confirms are waited for between the steps, so they are not taken from within the library.
            while self._steps:
                self._steps.popleft()(channel)
            if not channel.is_open:
                # What the broker has against it is in the error of the next use.
                channel.basic_qos(prefetch_count=self._consumed.prefetch)

    def _follow(self, channel: BlockingChannel) -> None:
        """Begin or end to consume, if that is not what is done already."""
        if self._wanted and not self._consumer:
            self._consumer = channel.basic_consume(self._consumed.queue, self._on_message)
        elif self._consumer and not self._wanted:
            # What has come and was not told of goes back to the broker.
            channel.basic_cancel(self._consumer)
            self._consumer = ""

    def _on_message(self, _channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        self._tell(
            Message(
                tag=method.delivery_tag,
                body=body,
                routing_key=method.routing_key or "",
                type=properties.type or "",
                message_id=properties.message_id or "",
                correlation_id=properties.correlation_id or "",
                traceparent=_text((properties.headers or {}).get(HEADER)),
                reply_to=properties.reply_to or "",
                expiration=properties.expiration or "",
                timestamp=properties.timestamp,
                content_type=properties.content_type or "",
                content_encoding=properties.content_encoding or "",
                persistent=properties.delivery_mode == _PERSISTENT,
            )
        )

    def _on_cancelled(self, _frame: object) -> None:
        self._lost = f"the queue {self._consumed.queue!r} is gone"

    # -- from the loop

    def acknowledge(self, tag: int) -> None:
        """The message is done with."""
        self._want(lambda channel: channel.basic_ack(tag))

    def give_back(self, tag: int) -> None:
        """The message is to be delivered again, to whomever."""
        self._want(lambda channel: channel.basic_nack(tag, requeue=True))

    def refuse(self, tag: int, reply: Reply | None) -> None:
        """The message is no good: it goes where the queue's dead letters go, if anywhere. reply: tells the sender."""

        def refuse(channel: BlockingChannel) -> None:
            if reply is not None:
                _publish(channel, reply)
            channel.basic_reject(tag, requeue=False)

        self._want(refuse)

    def answer(self, tag: int, reply: Reply, told: Callable[[bool], None]) -> None:
        """Publish a reply, and acknowledge the message once the broker has it. told: called in the thread with whether the
        broker had where to put it."""

        def answer(channel: BlockingChannel) -> None:
            told(_publish(channel, reply))
            channel.basic_ack(tag)

        self._want(answer)

    def consume(self, on: bool) -> None:
        """Take messages, or no further ones; those that are here can still be answered. Holds from the connection's start on."""
        self._wanted = on
        self._want(self._follow)

    def close(self) -> None:
        """End it once everything wanted before is done: what is not acknowledged then is delivered again."""
        self._want(self._close)

    def abandon(self) -> None:
        """End it as soon as the thread looks, whatever it still has to do."""
        self._closing = True
        self._wake()

    def _close(self, _channel: BlockingChannel) -> None:
        self._closing = True

    def _want(self, step: Callable[[BlockingChannel], None]) -> None:
        self._steps.append(step)
        self._wake()

    def _wake(self) -> None:
        connection = self._connection
        if connection is not None:
            with suppress(refusals.AMQPError):
                connection.add_callback_threadsafe(_nothing)


def look(address: BrokerAddress, consumed: Consumed) -> tuple[int, int]:
    """How many messages wait in the queue, and how many consumers it has. Blocks. Raises PeerUnreachable."""
    try:
        connection = pika.BlockingConnection(_parameters(address, consumed))
        try:
            found = connection.channel().queue_declare(consumed.queue, passive=True).method
            return found.message_count, found.consumer_count
        finally:
            _end(connection)
    except (refusals.AMQPError, OSError) as error:
        raise PeerUnreachable(_said(error)) from None


def _parameters(address: BrokerAddress, consumed: Consumed) -> pika.ConnectionParameters:
    return pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=address.virtual_host,
        credentials=pika.PlainCredentials(address.user, address.password, erase_on_connect=True),
        ssl_options=_tls(address, consumed) if address.tls else None,
        connection_attempts=1,
        socket_timeout=CONNECT_SECONDS,
        stack_timeout=CONNECT_SECONDS * 1.5,
        heartbeat=HEARTBEAT_SECONDS,
        blocked_connection_timeout=BLOCKED_SECONDS,
        client_properties={"connection_name": consumed.name},
    )


def _tls(address: BrokerAddress, consumed: Consumed) -> pika.SSLOptions:
    context = trusting(consumed.ca, names=True) if consumed.ca else ssl.create_default_context()
    return pika.SSLOptions(context, address.host)


def _end(connection: pika.BlockingConnection) -> None:
    with suppress(refusals.AMQPError, OSError):
        if connection.is_open:
            connection.close()


def _nothing() -> None:
    """Makes the thread look."""


def _publish(channel: BlockingChannel, reply: Reply) -> bool:
    """Whether there is a queue of that name. Returns when the broker has the reply, with the queue's promises."""
    properties = pika.BasicProperties(
        content_type=JSON_TYPE,
        correlation_id=reply.correlation_id or None,
        headers=dict(reply.headers),
        message_id=reply.execution_id or None,
        type=reply.type or None,
        delivery_mode=_PERSISTENT if reply.persistent else 1,
    )
    try:
        channel.basic_publish("", reply.queue, reply.body, properties, mandatory=True)
    except refusals.UnroutableError:
        return False
    return True


def _text(value: object) -> str:
    """A header's value: senders write text as text or as bytes, and of another kind there is none."""
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def _said(error: Exception) -> str:
    """What is wrong, in one line and without the library's ways of saying it."""
    inner: BaseException = error
    while isinstance(cause := getattr(inner, "exception", inner.args[0] if inner.args else None), BaseException):
        inner = cause
    text = " ".join(str(inner).split())
    return f"{type(inner).__name__}: {text}" if text else type(inner).__name__
