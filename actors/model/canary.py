"""Canaries: tasks that do nothing but run, so that it can be measured whether tasks run, and when.

A canary stands for its partition: it is late when the partition's owner is, and silent when nobody owns it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from runtime.clock import MILLISECOND, SECOND, Instant, Micros

from .policy import CatchUp, OnCrash, Overlap, Policies, Retry
from .task import partition_of

CANARY: Final = "canary"
"""The task type of canaries that people have, as all do who run a drill."""

SHORTEST_PERIOD: Final = Micros(100 * MILLISECOND)
"""Between two runs of a canary: below it, what is measured is the load that they make."""

DRILL_POLICIES: Final = Policies(
    # Every nominal time shall run, whatever happens to the nodes meanwhile; what does not has been lost.
    catch_up=CatchUp.ALL,
    catch_up_limit=10_000,
    overlap=Overlap.ALLOW,
    on_crash=OnCrash.RERUN,
    retry=Retry(max_retries=50, delay=Micros(100 * MILLISECOND)),
    # What a drill that was killed leaves behind goes by itself.
    ttl=Micros(600 * SECOND),
)
"""Of the canaries of a drill."""


def spread_over(partitions: int, number: int | None) -> list[int]:
    """The partitions that so many canaries stand for, evenly spread; None: every one. More than there are: some twice."""
    if number is None:
        return list(range(partitions))
    return [index * partitions // number for index in range(number)]


def ids_in(wanted: Iterable[int], partitions: int, new_id: Callable[[], str]) -> list[str]:
    """An id for each of these partitions, in their order.

    A task's partition follows from its id, so ids are made until each partition has one: a thousand or two for all of 256.
    """
    order = list(wanted)
    missing: dict[int, list[int]] = {}
    for index, partition in enumerate(order):
        missing.setdefault(partition, []).append(index)
    found = [""] * len(order)
    while missing:
        made = new_id()
        partition = partition_of(made, partitions)
        if places := missing.get(partition):
            found[places.pop()] = made
            if not places:
                del missing[partition]
    return found


def first_of(index: int, number: int, every: Micros, now: Instant) -> Instant:
    """The first nominal time of one of so many canaries: they share the period, so that they do not all run at once.

    On a whole millisecond, as times are shown.
    """
    first = now + every + index * every // number
    return Instant(-(-first // MILLISECOND) * MILLISECOND)
