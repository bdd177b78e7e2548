"""The client for synchronous code."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import update_wrapper
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

import httpx

from . import asks, asks_access, asks_channels, asks_overviews, asks_plans, asks_queue
from .address import Address, find_address
from .asking_core import Ask, Asked, Heard
from .blocking import Blocking
from .following_core import Event, Following
from .records import Page
from .requests_core import Request
from .sending import FAILED, WRONG_URL, heard, options, sent, silence
from .waiting import wrong_url

P = ParamSpec("P")
T = TypeVar("T")


class _Method(Generic[P, T]):
    """A function of `asks` as a method."""

    def __init__(self, ask: Callable[P, Asked[T]]) -> None:
        self._ask = ask
        self.__doc__ = ask.__doc__

    def __get__(self, client: SyncConnection, kind: type[SyncConnection]) -> Callable[P, T]:
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.ask(self._ask(*args, **kwargs))

        return update_wrapper(method, self._ask)


class _Pages(Generic[P, T]):
    """A function of `asks` that says how pages are asked for, as a method that iterates over what is on them."""

    def __init__(self, pages: Callable[P, Callable[[int], Ask[Page[T]]]]) -> None:
        self._pages = pages
        self.__doc__ = pages.__doc__

    def __get__(self, client: SyncConnection, kind: type[SyncConnection]) -> Callable[P, Iterator[T]]:
        def method(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            return client.iterate(self._pages(*args, **kwargs))

        return update_wrapper(method, self._pages)


class SyncConnection(Blocking):
    """The way to a node, without the operations.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        address = find_address(url, token, data)
        self.url: str = address.url
        super().__init__(_HttpxWire(address, channel, transport), retry_for)


class _HttpxWire:
    """Sends requests with httpx, which keeps connections."""

    def __init__(self, address: Address, channel: str, transport: httpx.BaseTransport | None) -> None:
        self._url = address.url
        try:
            self._http = httpx.Client(**options(address, channel, transport))
        except WRONG_URL as error:
            raise wrong_url(address.url, error) from None

    def send(self, request: Request) -> Heard:
        try:
            return heard(self._http.request(**sent(request)))
        except FAILED as error:
            return silence(error, self._url)

    def follow(self, following: Following) -> Generator[Event, None, float]:
        try:
            with self._http.stream(**sent(following.request())) as response:
                if response.is_success:
                    for line in response.iter_lines():
                        if (event := following.line(line)) is not None:
                            yield event
                    return following.ended()
                response.read()
                return following.refused(heard(response))
        except FAILED as error:
            return following.refused(silence(error, self._url))

    def close(self) -> None:
        self._http.close()


class SyncClient(SyncConnection):
    """A node of Tocsin over its REST interface, for code without a loop. `tocsin.Client` is the same for trio.

    Arguments are those of `SyncConnection`. Used in a `with` block it closes its connections.
    """

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
