"""The channel to a message broker: each message becomes an execution, and its outcome a reply.

A message is acknowledged when its execution is in the store, or, where it names a queue for the reply, when the broker has the
reply. So it may come twice, after a crash or a lost connection, and its id leads to the execution that there is: none is run
twice, and a reply that was lost is told again. The node goes on without the broker.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Final, Protocol

import attrs
import trio

from actors.model.scope import Scope
from runtime.clock import SECOND
from runtime.errors import Conflict, Forbidden, InternalError, InvalidRequest, NotFound, TocsinError
from runtime.traceparent import read_traceparent

from ..access.caller import Caller, Role
from .amqp_core import (
    REASONS,
    Asked,
    Message,
    Refusal,
    Reply,
    pause_seconds,
    read_message,
    refusal_of,
    refused_reply,
    reply_of,
)
from .amqp_settings import AmqpSettings, BrokerAddress, broker_address
from .invoking import Wanted, begin, has_ended, until_ended

if TYPE_CHECKING:
    from actors.model.execution import Execution
    from actors.node import Node

logger = logging.getLogger(__name__)

CHANNEL: Final = "broker"
"""How an execution that a message asked for came to be."""

LANE: Final = "amqp"
"""The thread that owns the connection."""

RECORD_SECONDS: Final = 60.0
"""For recording one message. The store's own deadlines are shorter; this holds whatever becomes of them."""

FINISH_SECONDS: Final = 3.0
"""What replies get after a drain: executions that have ended by then are heard of within one."""

CLOSE_SECONDS: Final = 5.0
"""For the broker to take the last replies and the farewell."""

FOR_GOOD: Final = (InvalidRequest, Forbidden, NotFound, Conflict)
"""Errors that a message has again however often it is delivered; all others pass."""


class Connection(Protocol):
    """What is done with a connection; see `BrokerConnection`."""

    def serve(self) -> str:
        """In a thread."""
        ...

    def acknowledge(self, tag: int) -> None:
        """Done with."""
        ...

    def give_back(self, tag: int) -> None:
        """Deliver it again."""
        ...

    def refuse(self, tag: int, reply: Reply | None) -> None:
        """No good."""
        ...

    def answer(self, tag: int, reply: Reply, told: Callable[[bool], None]) -> None:
        """Reply, then done with."""
        ...

    def consume(self, on: bool) -> None:
        """Messages, or no further ones."""
        ...

    def close(self) -> None:
        """When all is done."""
        ...

    def abandon(self) -> None:
        """Now."""
        ...


Connect = Callable[[Callable[[Message | None], None]], Connection]
"""Makes a connection that tells what it hears."""


@attrs.define
class Figures:
    """What became of the messages since the node started. `refused` by why."""

    received: int = 0
    recorded: int = 0
    replied: int = 0
    unanswerable: int = 0
    given_back: int = 0
    connections: int = 0
    refused: Counter[str] = attrs.field(factory=Counter)


@asynccontextmanager
async def open_amqp(node: Node, settings: AmqpSettings) -> AsyncIterator[None]:
    """The channel while the block runs, if there is a broker. The block's end drains the node and sends the last replies.

    Raises InvalidRequest for a file with a URL that cannot be used, and if the library for it is not installed.
    """
    address = broker_address(settings)
    if address is None:
        yield
        return
    channel = AmqpChannel(node, settings, _connect_to(node, settings, address), str(address))
    node.beside.append(channel.complaints)
    node.tallies[LANE] = channel.messages
    if node.cluster is not None:
        node.cluster.on_drain(channel.hold)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        try:
            yield
            await node.drain()
            await channel.finish()
        finally:
            channel.abandon()
            nursery.cancel_scope.cancel()


def _connect_to(node: Node, settings: AmqpSettings, address: BrokerAddress) -> Connect:
    try:
        from .amqp_connection import BrokerConnection, Consumed
    except ImportError:
        raise InvalidRequest("amqp.url: the library for it is missing: pip install 'tocsin[amqp]'") from None
    consumed = Consumed(
        settings.amqp_queue, settings.amqp_prefetch, f"tocsin {node.config.name}", settings.amqp_ca
    )  # fmt: skip
    return lambda tell: BrokerConnection(address, consumed, tell)


class AmqpChannel:
    """See the module's docstring. where: the broker, as the log and the health call it."""

    def __init__(self, node: Node, settings: AmqpSettings, connect: Connect, where: str) -> None:
        self.figures: Final = Figures()
        self._node = node
        self._settings = settings
        self._connect = connect
        self._where = where
        self._caller = Caller(
            f"amqp:{settings.amqp_queue}", Scope(settings.amqp_tenant or None), Role(settings.amqp_role.lower())
        )
        self._rng = node.world.rng("amqp")
        self._first = settings.amqp_pause / SECOND
        self._longest = settings.amqp_longest_pause / SECOND
        self._connection: Connection | None = None
        self._held = False
        self._trouble = ""
        self._unrecorded = 0
        self._why_unrecorded = ""
        self._pause_ends = 0.0
        self._in_hand = 0
        self._idle = trio.Event()
        self._ended = trio.Event()

    def complaints(self) -> list[str]:
        """What is not well; empty when all is."""
        found = []
        if self._trouble:
            found.append(f"no connection to the broker {self._where}: {self._trouble}")
        if self._unrecorded:
            found.append(f"messages of the broker {self._where} cannot be recorded: {self._why_unrecorded}")
        return found

    def messages(self) -> Mapping[str, int]:
        """What became of the messages since the node started; of each reason for which some were refused."""
        figures = self.figures
        told = {"recorded": figures.recorded, "replied": figures.replied, "given_back": figures.given_back}
        told |= {"unanswerable": figures.unanswerable}
        return told | {f"refused_{why}": figures.refused[why] for why in REASONS}

    async def run(self) -> None:
        """Consume until the node has drained, whatever becomes of the broker."""
        failures = 0
        while not self._node.draining.is_set():
            before = self.figures.connections
            reason = await self._consume()
            if self._node.draining.is_set():
                break
            failures = 1 if self.figures.connections > before else failures + 1
            if not self._trouble:
                logger.warning("no connection to the broker %s: %s", self._where, reason)
            self._trouble = reason or "it was closed"
            with trio.move_on_after(pause_seconds(failures, self._first, self._longest, self._rng)):
                await self._node.draining.wait()
        self._ended.set()

    async def finish(self) -> None:
        """Once the node has drained: send the replies that there are, and close. What has no reply is delivered again."""
        with trio.move_on_after(FINISH_SECONDS):
            while self._in_hand:
                self._idle = trio.Event()
                await self._idle.wait()
        if self._connection is not None:
            self._connection.close()
        with trio.move_on_after(CLOSE_SECONDS):
            await self._ended.wait()

    def hold(self, on: bool) -> None:
        """Leave the messages to the other nodes, as long as an operator's drain lasts, or take them again."""
        if on is self._held:
            return
        self._held = on
        logger.info("messages of the broker %s are %s", self._where, "left to other nodes" if on else "taken again")
        if self._connection is not None and not self._node.draining.is_set():
            self._connection.consume(not on)

    def abandon(self) -> None:
        """Close whatever is open, without waiting."""
        if self._connection is not None:
            self._connection.abandon()

    # -- one connection

    async def _consume(self) -> str:
        """Connect and carry out what comes until the connection is gone; answers why it is."""
        send, receive = trio.open_memory_channel[Message | None](self._settings.amqp_prefetch + 1)
        reason = ""

        def hear(told: Message | None) -> None:
            # A connection that was left behind may still have something to tell.
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                send.send_nowait(told)

        async def serve() -> None:
            nonlocal reason
            with send:
                try:
                    reason = await self._node.world.blocking(connection.serve, lane=LANE, abandon=True)
                except Exception as error:
                    # The node goes on, whatever the library does.
                    logger.exception("the connection to the broker %s has failed", self._where)
                    reason = f"{type(error).__name__}: {error}"

        connection = self._connection = self._connect(lambda told: self._node.world.from_thread_soon(hear, told))
        if self._held:
            connection.consume(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            nursery.start_soon(self._stop_when_draining, connection)
            async for told in receive:
                if told is None:
                    self._connected()
                else:
                    nursery.start_soon(self.take, connection, told)
            # Whoever waits for an execution waits for nothing now: the broker delivers the message again.
            nursery.cancel_scope.cancel()
        return reason

    def _connected(self) -> None:
        self.figures.connections += 1
        self._trouble = ""
        logger.info("messages come from the queue %s of the broker %s", self._settings.amqp_queue, self._where)

    async def _stop_when_draining(self, connection: Connection) -> None:
        await self._node.draining.wait()
        connection.consume(False)

    # -- one message

    async def take(self, connection: Connection, message: Message) -> None:
        """Carry one message out. Cancelled, it leaves the message to whom the broker delivers it next."""
        self._in_hand += 1
        self.figures.received += 1
        try:
            with self._traced(message):
                await self._carry_out(connection, message)
        except trio.Cancelled:
            raise
        except Exception:
            # One bad message must not take the others down, nor come back for ever.
            logger.exception("%s was refused because of an error of our own", message.name)
            self._refuse(connection, message, Refusal("failed", InternalError("an error of the node; its log tells")))
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._idle.set()

    def _traced(self, message: Message) -> AbstractContextManager[object]:
        """Around what is done with a message: until its execution is recorded, or where it wants one its reply sent."""
        if self._node.tracer is None:
            return nullcontext()
        queue = self._settings.amqp_queue
        said = {
            "messaging.system": "rabbitmq",
            "messaging.destination.name": queue,
            "messaging.operation.type": "process",
        }
        known = {
            "messaging.message.id": message.message_id,
            "messaging.message.conversation_id": message.correlation_id,
        }
        said |= {name: value for name, value in known.items() if value}
        return self._node.tracer.span(f"process {queue}", "consumer", read_traceparent(message.traceparent), said)

    async def _carry_out(self, connection: Connection, message: Message) -> None:
        asked = read_message(message, self._settings.amqp_types, self._node.world.now())
        if isinstance(asked, Refusal):
            self._refuse(connection, message, asked)
            return
        try:
            execution = await self._record(asked)
        except FOR_GOOD as error:
            known = asked.type_name in self._node.catalogue
            self._refuse(connection, message, refusal_of(error) if known else Refusal("unknown", error))
            return
        except (TocsinError, trio.TooSlowError) as error:
            await self._give_back(connection, message, str(error) or f"not done within {RECORD_SECONDS:g} s")
            return
        self.figures.recorded += 1
        self._unrecorded = 0
        self._node.world.failpoint("amqp:recorded")
        if message.reply_to:
            await self._answer(connection, message, execution)
        else:
            connection.acknowledge(message.tag)

    async def _record(self, asked: Asked) -> Execution:
        wanted = Wanted(asked.parameters, asked.extra, correlation=asked.correlation, key=asked.key)
        with trio.fail_after(RECORD_SECONDS):
            return await begin(self._node, self._caller, asked.type_name, wanted, channel=CHANNEL)

    async def _answer(self, connection: Connection, message: Message, execution: Execution) -> None:
        seen = self._node.seen_by(self._caller.scope)
        try:
            detail = await until_ended(seen, execution.id, self._settings.amqp_reply_within / SECOND)
        except NotFound:
            logger.warning("%s has no reply: execution %s is not kept any more", message.name, execution.id)
            connection.acknowledge(message.tag)
            return
        except TocsinError as error:
            await self._give_back(connection, message, str(error))
            return
        if not has_ended(detail) and self._node.draining.is_set():
            # Another node, or the next start, has the message again and waits on.
            return
        told = self._node.world.from_thread_soon
        connection.answer(
            message.tag, reply_of(message, detail), lambda routed: told(self._answered, message, execution.id, routed)
        )

    def _answered(self, message: Message, execution_id: str, routed: bool) -> None:
        if routed:
            self.figures.replied += 1
            return
        self.figures.unanswerable += 1
        logger.warning("the reply about execution %s went nowhere: no queue %r", execution_id, message.reply_to)

    def _refuse(self, connection: Connection, message: Message, refusal: Refusal) -> None:
        self.figures.refused[refusal.why] += 1
        logger.warning("%s was refused, %s: %s", message.name, refusal.why, refusal.error)
        connection.refuse(message.tag, refused_reply(message, refusal) if message.reply_to else None)

    async def _give_back(self, connection: Connection, message: Message, why: str) -> None:
        """Have a message delivered again, after a pause in which it is with this node and comes to nobody."""
        now = trio.current_time()
        if now >= self._pause_ends:
            # Messages that fail together share a pause.
            self._unrecorded += 1
            self._pause_ends = now + pause_seconds(self._unrecorded, self._first, self._longest, self._rng)
            logger.warning("%s goes back to the broker: %s", message.name, why)
        self._why_unrecorded = why
        await trio.sleep_until(self._pause_ends)
        self.figures.given_back += 1
        connection.give_back(message.tag)
