"""A world whose time, chance and threads are all in the hand of a seed. Runs under trio's `MockClock`."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from .clock import SECOND, Instant, Micros
from .ids import IdSource
from .line import Landed
from .world import Alarm, call_and_tell

T = TypeVar("T")

DEFAULT_START = Instant(1_767_225_600_000_000)
"""2026-01-01T00:00:00Z."""


def seed_scheduler(seed: int | str) -> None:
    """From now on trio's scheduler in this process makes the choices that belong to `seed`.

    The one place that reaches into trio: which ready task runs first is decided by a private random generator.
    """
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    trio._core._run._r.seed(seed)


class SimulatedWorld:
    """Virtual time (wall = start + rate * monotonic + steps), seeded streams, blocking work run inline.

    `failures` maps a failpoint's name to what is called when it is passed. `threaded`: which lanes get real threads after all,
    because what runs there calls back into the loop; while such a thread computes, virtual time stands still.
    """

    def __init__(
        self,
        seed: int | str = 0,
        start: Instant = DEFAULT_START,
        origin: float | None = None,
        threaded: Callable[[str], bool] = lambda lane: False,
        rate: float = 1.0,
    ) -> None:
        self._rate = rate
        self._threaded = threaded
        self._computing = 0
        self._resumed = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._seed = seed
        self._start = start
        self._origin = trio.current_time() if origin is None else origin
        self._stepped = 0
        self._alarms: list[SimulatedAlarm] = []
        self._ids = IdSource(self.rng("ids"))
        self.failures: dict[str, Callable[[], None]] = {}

    def now(self) -> Instant:
        return Instant(self._start + self._stepped + round((trio.current_time() - self._origin) * self._rate * SECOND))

    def monotonic(self) -> float:
        return trio.current_time()

    def step(self, by: Micros) -> None:
        """Move the wall clock, not the monotonic one, by so many microseconds."""
        self._stepped += by
        for alarm in self._alarms:
            alarm.stepped()

    def move(self, by: Micros) -> None:
        """Leave out so many microseconds of the wall clock, as if they had passed: nobody is told of a step."""
        self._stepped += by
        for alarm in self._alarms:
            alarm.moved()

    def reached_at(self, instant: Instant) -> float:
        """When the monotonic clock will be at this instant, unless the wall clock is stepped before."""
        return self._origin + (instant - self._start - self._stepped) / (self._rate * SECOND)

    def rng(self, stream: str) -> random.Random:
        return random.Random(f"{self._seed}:{stream}")

    def new_id(self) -> str:
        return self._ids.next(self.now())

    def secret(self, size: int) -> str:
        return self.rng(f"secret:{self.new_id()}").randbytes(size).hex()

    def alarm(self) -> Alarm:
        alarm = SimulatedAlarm(self)
        self._alarms.append(alarm)
        return alarm

    async def blocking(self, function: Callable[..., T], *arguments: Any, lane: str, abandon: bool = False) -> T:
        if not self._threaded(lane):
            await trio.lowlevel.checkpoint()
            return function(*arguments)
        self._token = trio.lowlevel.current_trio_token()
        outcome: list[T] = []
        failure: BaseException | None = None
        async with trio.open_nursery() as nursery:
            self._computing += 1
            nursery.start_soon(self._hold_time)
            try:
                outcome.append(await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=abandon))
            except trio.Cancelled:
                raise
            except BaseException as error:
                # Out of the nursery as it is, not as the one member of a group.
                failure = error
            finally:
                self._computing -= 1
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return outcome[0]

    def begin(
        self, nursery: trio.Nursery, function: Callable[..., Any], *arguments: Any, lane: str, landed: Landed
    ) -> None:
        nursery.start_soon(call_and_tell, partial(self.blocking, function, *arguments, lane=lane), landed)

    def widen(self, lane: str, by: int) -> None:
        """Lanes are as wide as anybody wants here."""

    async def _hold_time(self) -> None:
        """Keep the clock from jumping while a thread computes; what a thread waits for in the loop may take virtual time."""
        while True:
            if self._computing > 0:
                await trio.lowlevel.checkpoint()
            else:
                await self._resumed.wait()

    def from_thread(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        if self._token is None:
            raise NotImplementedError(f"no threads in this simulated world: {function!r} {arguments!r}")

        async def call() -> T:
            self._computing -= 1
            try:
                return await function(*arguments)
            finally:
                self._computing += 1
                self._resumed.set()
                self._resumed = trio.Event()

        return trio.from_thread.run(call)

    def from_thread_soon(self, function: Callable[..., object], *arguments: Any) -> None:
        if self._token is None:
            function(*arguments)
        else:
            self._token.run_sync_soon(function, *arguments)

    def failpoint(self, name: str) -> None:
        if (action := self.failures.get(name)) is not None:
            action()

    async def open_process(self, argv: Sequence[str], **options: Any) -> trio.Process:
        raise NotImplementedError(f"no processes in a simulated world: {list(argv)!r} {options!r}")

    def companion(self, module: Path, arguments: Sequence[str]) -> None:
        """What it would do is done in the loop."""

    def environment(self) -> Mapping[str, str]:
        return {}

    def lock_directory(self, path: Path) -> AbstractContextManager[None]:
        return nullcontext()

    def tune_process(self) -> None:
        """Virtual time does not care."""


class SimulatedAlarm:
    """An alarm that is told of steps, as the kernel's is; nothing wakes between two of its instants."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world
        self._at: Instant | None = None
        self._changed = trio.Event()
        self._was_stepped = False

    def set(self, at: Instant | None) -> None:
        if at != self._at:
            self._at = at
            self._changed.set()

    def stepped(self) -> None:
        """The wall clock was moved."""
        self._was_stepped = True
        self._changed.set()

    def moved(self) -> None:
        """Some of the time was left out."""
        self._changed.set()

    async def run(self, ring: Callable[[], None]) -> None:
        while True:
            self._changed = trio.Event()
            with trio.move_on_at(math.inf if self._at is None else self._world.reached_at(self._at)):
                await self._changed.wait()
            if self._was_stepped:
                self._was_stepped = False
                ring()
            elif self._at is not None and self._world.now() >= self._at:
                self._at = None
                ring()
