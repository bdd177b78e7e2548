"""The client for trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import update_wrapper
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

import attrs
import httpx
import trio

from runtime.errors import InvalidRequest, TocsinError

from . import asks, asks_access, asks_channels, asks_overviews, asks_plans, asks_queue
from .address import find_address
from .asking_core import Ask, Asked, Heard, Send, Session, Step, plain
from .following_core import Event, Following
from .giving import Time
from .records import Page
from .sending import FAILED, WRONG_URL, heard, options, sent, silence
from .waiting import session_of, tell, wrong_url

P = ParamSpec("P")
T = TypeVar("T")


class _Method(Generic[P, T]):
    """A function of `asks` as a method."""

    def __init__(self, ask: Callable[P, Asked[T]]) -> None:
        self._ask = ask
        self.__doc__ = ask.__doc__

    def __get__(self, client: Client, kind: type[Client]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return await client.ask(self._ask(*args, **kwargs))

        return update_wrapper(method, self._ask)


class _Pages(Generic[P, T]):
    """A function of `asks` that says how pages are asked for, as a method that iterates over what is on them."""

    def __init__(self, pages: Callable[P, Callable[[int], Ask[Page[T]]]]) -> None:
        self._pages = pages
        self.__doc__ = pages.__doc__

    def __get__(self, client: Client, kind: type[Client]) -> Callable[P, AsyncIterator[T]]:
        def method(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            return client.iterate(self._pages(*args, **kwargs))

        return update_wrapper(method, self._pages)


class _Events:
    """What is told by a task that follows, and at last the error that it ended with."""

    def __init__(self, receive: trio.MemoryReceiveChannel[Event]) -> None:
        self.error: TocsinError | None = None
        self._receive = receive

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            if self.error is None:
                raise StopAsyncIteration from None
            raise self.error from None


def _check_loop() -> None:
    """Raises InvalidRequest outside of trio."""
    if not trio.lowlevel.in_trio_run():
        raise InvalidRequest(
            "tocsin.Client is for trio; elsewhere use tocsin.SyncClient, within asyncio through asyncio.to_thread"
        )


class Client:
    """A node of Tocsin over its REST interface, for trio. `tocsin.SyncClient` is the same for code without a loop.

    url, token: where and with what; without them TOCSIN_URL and TOCSIN_TOKEN, and without these what a node running over the
    data directory (`data`, TOCSIN_DATA, or ./.tocsin) has written there. retry_for: how long what may safely be repeated is
    repeated, in seconds, 0 for not at all; if it is not said, 30 s, but 5 s while no node has ever answered.
    channel: what the node notes as the way that a run came by. Raises NodeUnreachable or Unauthenticated
    if it cannot be known where the node is or what token it wants.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        data: str | Path | None = None,
        retry_for: float | None = None,
        channel: str = "rest",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        address = find_address(url, token, data)
        self.url: str = address.url
        self._session = session_of(retry_for, trio.current_time)
        try:
            self._http = httpx.AsyncClient(**options(address, channel, transport))
        except WRONG_URL as error:
            raise wrong_url(address.url, error) from None

    async def __aenter__(self) -> Self:
        _check_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Release the connections."""
        await self._http.aclose()

    async def call(self, operation: str, /, **arguments: Any) -> Any:
        """Carry out an operation of the table by its name, once; arguments that are None are left out. Answers its JSON.

        Raises the error class that the node answered with, NodeUnreachable if there was no answer, InvalidRequest for arguments
        that no request can hold.
        """
        once = attrs.evolve(self._session, retry_for=-1.0, first_for=None)
        return await self._carry_out(plain(operation, arguments), once)

    async def ask(self, asked: Asked[T]) -> T:
        """Carry out what a function of `asks` made. The methods do this."""
        return await self._carry_out(asked, self._session)

    async def iterate(self, pages: Callable[[int], Ask[Page[T]]]) -> AsyncIterator[T]:
        """Everything on pages, each asked for when it is needed."""
        offset = 0
        while True:
            page = await self.ask(pages(offset))
            for item in page.items:
                yield item
            offset += len(page.items)
            if not page.items or offset >= page.total:
                return

    @asynccontextmanager
    async def events(
        self,
        *,
        kinds: Sequence[str] = (),
        task: str | None = None,
        task_type: str | None = None,
        tag: str | None = None,
        after: Time | None = None,
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """What happens from now on, or after an event that was seen, for ever; a stream that breaks is taken up where it was.

        To be used as `async with client.events() as events: async for event in events: ...`.
        kinds: `task`, `execution`, `progress`, `slots`, `node`; none: all. task: an id, prefix or name. after: an event's id,
        or a time. Raises what the node refuses it with, and NodeUnreachable when no node has answered for `retry_for` seconds.
        """
        _check_loop()
        following = Following(self._session, kinds=kinds, task=task, type_=task_type, tag=tag, after=after)
        send, receive = trio.open_memory_channel[Event](0)
        events = _Events(receive)
        with send, receive:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow_until_refused, following, send, events)
                yield events
                nursery.cancel_scope.cancel()

    async def _follow_until_refused(
        self, following: Following, send: trio.MemorySendChannel[Event], events: _Events
    ) -> None:
        try:
            await self._follow(following, send)
        except TocsinError as error:
            events.error = error

    async def _follow(self, following: Following, send: trio.MemorySendChannel[Event]) -> None:
        with send:
            while True:
                try:
                    async with self._http.stream(**sent(following.request())) as response:
                        if response.is_success:
                            async for line in response.aiter_lines():
                                if (event := following.line(line)) is not None:
                                    await send.send(event)
                            seconds = following.ended()
                        else:
                            await response.aread()
                            seconds = following.refused(heard(response))
                except FAILED as error:
                    seconds = following.refused(silence(error, self.url))
                await trio.sleep(seconds)

    async def _carry_out(self, asked: Asked[T], session: Session) -> T:
        _check_loop()
        steps = asked.steps(session)
        told: Heard = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as end:
                answer: T = end.value
                return answer
            told = await self._do(step)

    async def _do(self, step: Step) -> Heard:
        if not isinstance(step, Send):
            tell(step)
            await trio.sleep(step.seconds)
            return None
        try:
            return heard(await self._http.request(**sent(step.request)))
        except FAILED as error:
            return silence(error, self.url)

    list_tasks = _Method(asks.list_tasks)
    show_task = _Method(asks.show_task)
    show_definition = _Method(asks.show_definition)
    add_task = _Method(asks.add_task)
    add_definition = _Method(asks.add_definition)
    edit_task = _Method(asks.edit_task)
    cancel_task = _Method(asks.cancel_task)
    delete_task = _Method(asks.delete_task)
    retry_task = _Method(asks.retry_task)
    configure_task = _Method(asks.configure_task)
    resume_task = _Method(asks.resume_task)
    pause_task = _Method(asks.pause_task)
    activate_task = _Method(asks.activate_task)
    run_task = _Method(asks.run_task)
    next_fires = _Method(asks.next_fires)
    why = _Method(asks.why)
    list_outcomes = _Method(asks.list_outcomes)
    list_deliveries = _Method(asks.list_deliveries)
    list_executions = _Method(asks.list_executions)
    show_execution = _Method(asks.show_execution)
    cancel_execution = _Method(asks.cancel_execution)
    release_execution = _Method(asks.release_execution)
    list_logs = _Method(asks.list_logs)
    wait = _Method(asks.wait)
    preview_cron = _Method(asks.preview_cron)
    preview_trigger = _Method(asks.preview_trigger)
    show_scheduler = _Method(asks.show_scheduler)
    pause_scheduler = _Method(asks.pause_scheduler)
    resume_scheduler = _Method(asks.resume_scheduler)
    list_locks = _Method(asks.list_locks)
    release_lock = _Method(asks.release_lock)
    list_queues = _Method(asks.list_queues)
    list_calendars = _Method(asks.list_calendars)
    show_calendar = _Method(asks.show_calendar)
    put_calendar = _Method(asks.put_calendar)
    delete_calendar = _Method(asks.delete_calendar)
    purge = _Method(asks.purge)
    list_nodes = _Method(asks.list_nodes)
    show_member = _Method(asks.show_member)
    drain_node = _Method(asks.drain_node)
    switch_executor = _Method(asks.switch_executor)
    list_partitions = _Method(asks.list_partitions)
    list_types = _Method(asks.list_types)
    counts = _Method(asks.counts)
    show_node = _Method(asks.show_node)
    version = _Method(asks.version)
    ready = _Method(asks.ready)
    tasks = _Pages(asks.tasks)
    executions = _Pages(asks.executions)
    deliveries = _Pages(asks.deliveries)
    list_tokens = _Method(asks_access.list_tokens)
    add_token = _Method(asks_access.add_token)
    revoke_token = _Method(asks_access.revoke_token)
    list_audits = _Method(asks_access.list_audits)
    verify_audits = _Method(asks_access.verify_audits)
    invoke = _Method(asks_channels.invoke)
    call_type = _Method(asks_channels.call_type)
    plan = _Method(asks_plans.plan)
    apply_plan = _Method(asks_plans.apply_plan)
    export = _Method(asks_plans.export)
    find_executions = _Method(asks_overviews.find_executions)
    recent = _Method(asks_overviews.recent)
    upcoming = _Method(asks_overviews.upcoming)
    bulk = _Method(asks_overviews.bulk)
    show_catch_up = _Method(asks_overviews.show_catch_up)
    preview_catch_up = _Method(asks_overviews.preview_catch_up)
    discard_catch_up = _Method(asks_overviews.discard_catch_up)
    list_handovers = _Method(asks_overviews.list_handovers)
    show_load = _Method(asks_overviews.show_load)
    spread_load = _Method(asks_overviews.spread_load)
    show_tree = _Method(asks_overviews.show_tree)
    queue_start = _Method(asks_queue.queue_start)
    queue_next = _Method(asks_queue.queue_next)
    queue_save = _Method(asks_queue.queue_save)
    queue_heartbeat = _Method(asks_queue.queue_heartbeat)
    queue_list = _Method(asks_queue.queue_list)
    queue_data = _Method(asks_queue.queue_data)
    queue_delete = _Method(asks_queue.queue_delete)
    queue_rename = _Method(asks_queue.queue_rename)
    queue_update = _Method(asks_queue.queue_update)
    queue_flush = _Method(asks_queue.queue_flush)
    audits = _Pages(asks_access.audits)
