"""The one seam to everything impure: clocks, randomness, ids, threads, processes, failpoints.

Two implementations: `RealWorld` here, `SimulatedWorld` in `simulation.py`. A test keeps clocks, random numbers, threads,
sockets and drivers out of every other file, so that what runs in the simulation is what runs in production.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import logging
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TextIO, TypeVar

import trio

from .clock import SECOND, Instant, Micros
from .companion import Companion
from .errors import AlreadyRunning
from .ids import IdSource
from .line import Errand, Landed, Line, returned_or_raised

logger = logging.getLogger(__name__)

T = TypeVar("T")

STEP_TOLERANCE: Final = Micros(100_000)
"""Wall time may move against monotonic time by this much (100 ms) before it counts as a step: NTP slews stay far below."""

STEP_CHECK_SECONDS: Final = 0.5
"""How often a waiting alarm without a kernel timer looks for steps; half of the second in which a step must be noticed."""


SWITCH_SECONDS: Final = 0.0001
"""How long a thread keeps the interpreter while another wants it. With the default of 5 ms the store's writer waits that long
for a busy loop at every statement; a commit then takes six times as long."""

COLLECT_AFTER: Final = (5_000, 80, 50)
"""Thresholds of the garbage collector. Records hold no cycles, so looking at the young ones every 700 finds nothing and costs a
third of the time of a fire. What is freed meanwhile is taken off the count, whatever its age: where a ring gives up an old record
for each new one the young are many times as many, and with 20,000 one look took up to 50 ms."""

LEFT_BEHIND_SECONDS: Final = 2.0
"""How long a directory may stay locked when the process that held it is no more: its companion finishes what it was asked for."""

LOOK_AGAIN_SECONDS: Final = 0.01
"""Between two looks whether it is free."""

INLINE: Final = "inline"
"""The lane of work that is short and touches no disk: it is called in the loop itself."""


class Alarm(Protocol):
    """One wake-up at a wall-clock instant. Setting it again replaces the former instant; it may ring early or twice."""

    def set(self, at: Instant | None) -> None:
        """Ring at `at` (at once if it is past), or not at all for None."""
        ...

    async def run(self, ring: Callable[[], None]) -> None:
        """Call `ring` at each instant set, and whenever the wall clock was stepped. Runs until cancelled."""
        ...


class World(Protocol):
    """Time, chance, identity and blocking work, as one argument."""

    def now(self) -> Instant:
        """The wall clock."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step; the clock of trio's deadlines."""
        ...

    def rng(self, stream: str) -> random.Random:
        """A random stream of its own per purpose, so that new draws in one place do not move another's."""
        ...

    def new_id(self) -> str:
        """A UUIDv7 text."""
        ...

    def secret(self, size: int) -> str:
        """A URL-safe unguessable text of `size` bytes of entropy."""
        ...

    def alarm(self) -> Alarm:
        """A new alarm."""
        ...

    async def blocking(self, function: Callable[..., T], *arguments: Any, lane: str, abandon: bool = False) -> T:
        """Run `function` away from the loop (but in it for `INLINE`). Calls of one lane with width 1 never overlap.

        `abandon`: on cancellation leave the thread behind instead of waiting for it.
        """
        ...

    def begin(
        self, nursery: trio.Nursery, function: Callable[..., Any], *arguments: Any, lane: str, landed: Landed
    ) -> None:
        """As `blocking`, without waiting: `landed` is called in the loop with what the function returned or raised.

        The nursery waits for the call. One of a serial lane begins at once if none is before it, without a turn of the loop.
        """
        ...

    def widen(self, lane: str, by: int) -> None:
        """Let so many more calls of a lane run at the same time, or fewer: in place of threads that do not come back."""
        ...

    def from_thread(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """In a thread that `blocking` started: run an async function in the loop and wait for what it returns or raises."""
        ...

    def from_thread_soon(self, function: Callable[..., object], *arguments: Any) -> None:
        """In a thread that `blocking` started: have the loop call a function, in order, without waiting for it."""
        ...

    def failpoint(self, name: str) -> None:
        """A named place where a test may end the process or raise."""
        ...

    async def open_process(self, argv: Sequence[str], **options: Any) -> trio.Process:
        """Start a child process; options as `subprocess.Popen`'s."""
        ...

    def companion(self, module: Path, arguments: Sequence[str]) -> Companion | None:
        """Start a process beside this one that answers questions; None where there are none. See `companion.py`."""
        ...

    def environment(self) -> Mapping[str, str]:
        """The environment variables of this process."""
        ...

    def tune_process(self) -> None:
        """Set the interpreter up for a loop that shares it with a writer thread, and for many small long-lived records."""
        ...

    def lock_directory(self, path: Path) -> AbstractContextManager[None]:
        """Hold a directory (made if missing) for this process alone; raises AlreadyRunning if another one holds it."""
        ...


class RealWorld:
    """The machine as it is.

    `lanes` names the thread lanes and their widths; a lane of its own keeps the store's commits from queueing behind
    handlers that block. The calls of `serial` lanes are one after another, in the order in which they were made, and the next one
    begins when the one before it ends, without the loop's help; they cannot call back into the loop.
    """

    def __init__(self, lanes: Mapping[str, int] | None = None, serial: Iterable[str] = ()) -> None:
        self._lanes = dict(lanes or {})
        self._lines = {lane: Line(lane) for lane in serial}
        self._limiters: dict[str, trio.CapacityLimiter] = {}
        self._token: trio.lowlevel.TrioToken | None = None
        self._ids = IdSource(random.Random(secrets.randbits(128)))
        self._held: set[int] = set()
        self._failpoints = _parse_failpoints(os.environ.get("TOCSIN_FAILPOINTS", ""))

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1000)

    def monotonic(self) -> float:
        return trio.current_time()

    def rng(self, stream: str) -> random.Random:
        return random.Random(f"{stream}:{secrets.randbits(64)}")

    def new_id(self) -> str:
        return self._ids.next(time.time_ns() // 1000)

    def secret(self, size: int) -> str:
        return secrets.token_urlsafe(size)

    def alarm(self) -> Alarm:
        return KernelAlarm() if _libc is not None else PollingAlarm(self)

    async def blocking(self, function: Callable[..., T], *arguments: Any, lane: str, abandon: bool = False) -> T:
        if lane == INLINE:
            return function(*arguments)
        if (line := self._lines.get(lane)) is not None:
            return await line.call(partial(function, *arguments), abandon=abandon)
        limiter = self._limiters.get(lane)
        if limiter is None:
            limiter = self._limiters[lane] = trio.CapacityLimiter(self._lanes.get(lane, 1))
            self._token = trio.lowlevel.current_trio_token()
        return await trio.to_thread.run_sync(function, *arguments, limiter=limiter, abandon_on_cancel=abandon)

    def begin(
        self, nursery: trio.Nursery, function: Callable[..., Any], *arguments: Any, lane: str, landed: Landed
    ) -> None:
        if lane == INLINE:
            landed(*returned_or_raised(partial(function, *arguments)))
        elif (line := self._lines.get(lane)) is not None:
            ended = trio.Event()
            nursery.start_soon(_outlast, ended)

            def land(value: object, error: BaseException | None) -> None:
                landed(value, error)
                ended.set()

            if not isinstance(function, Errand):
                line.begin(partial(function, *arguments), land)
            elif (fetch := line.send(function, land)) is not None:
                nursery.start_soon(fetch)
        else:
            nursery.start_soon(call_and_tell, partial(self.blocking, function, *arguments, lane=lane), landed)

    def widen(self, lane: str, by: int) -> None:
        if (limiter := self._limiters.get(lane)) is not None:
            limiter.total_tokens += by

    def from_thread(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        return trio.from_thread.run(function, *arguments)

    def from_thread_soon(self, function: Callable[..., object], *arguments: Any) -> None:
        assert self._token is not None, "no thread was started by this world"
        # A thread that was left behind may outlive the loop; nobody is there to hear it then.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function, *arguments)

    def failpoint(self, name: str) -> None:
        left = self._failpoints.get(name)
        if left is None:
            return
        if left <= 1:
            os.kill(os.getpid(), signal.SIGKILL)
        self._failpoints[name] = left - 1

    async def open_process(self, argv: Sequence[str], **options: Any) -> trio.Process:
        return await trio.lowlevel.open_process(list(argv), **options)

    def companion(self, module: Path, arguments: Sequence[str]) -> Companion | None:
        try:
            return Companion(module, arguments, self._held)
        except OSError as error:
            logger.warning("no process can be started for %s, its work is done in this one: %s", module.stem, error)
            return None

    def environment(self) -> Mapping[str, str]:
        return os.environ

    def tune_process(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.set_threshold(*COLLECT_AFTER)

    @contextmanager
    def lock_directory(self, path: Path) -> Iterator[None]:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Whoever can open the file can hold the lock.
        (path / "lock").touch(mode=0o600)
        with (path / "lock").open("a+") as file:
            _lock(file, path)
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            self._held.add(file.fileno())
            try:
                yield
            finally:
                self._held.discard(file.fileno())


def _lock(file: TextIO, path: Path) -> None:
    deadline = time.monotonic() + LEFT_BEHIND_SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            if _lives(holder) or time.monotonic() > deadline:
                raise AlreadyRunning(f"another node (process {holder}) holds the data directory {path}") from None
            time.sleep(LOOK_AGAIN_SECONDS)


def _lives(process: str) -> bool:
    """Whether there is such a process; one that is unknown may be."""
    return not process.isdecimal() or Path("/proc", process).exists() or not Path("/proc/self").exists()


async def call_and_tell(call: Callable[[], Awaitable[Any]], landed: Landed) -> None:
    """Await a call and tell what it returned or raised; a cancellation passes."""
    try:
        value = await call()
    except trio.Cancelled:
        raise
    except BaseException as error:
        landed(None, error)
    else:
        landed(value, None)


async def _outlast(event: trio.Event) -> None:
    with trio.CancelScope(shield=True):
        await event.wait()


def _parse_failpoints(text: str) -> dict[str, int]:
    """`name=3,other=1` : at its third passing, `name` kills the process with SIGKILL."""
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {name: int(count or 1) for name, _, count in pairs}


PIPE: Final = subprocess.PIPE
STDOUT: Final = subprocess.STDOUT
DEVNULL: Final = subprocess.DEVNULL


class PollingAlarm:
    """An alarm over trio's own clock; the loop rounds its waits up to whole milliseconds, and steps are polled for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._at: Instant | None = None
        self._changed = trio.Event()

    def set(self, at: Instant | None) -> None:
        if at != self._at:
            self._at = at
            self._changed.set()

    async def run(self, ring: Callable[[], None]) -> None:
        offset = self._offset()
        while True:
            self._changed = trio.Event()
            with trio.move_on_after(self._wait_seconds()):
                await self._changed.wait()
            drifted = self._offset() - offset
            if abs(drifted) > STEP_TOLERANCE:
                offset += drifted
                ring()
            elif self._at is not None and self._world.now() >= self._at:
                self._at = None
                ring()

    def _offset(self) -> int:
        return self._world.now() - int(self._world.monotonic() * SECOND)

    def _wait_seconds(self) -> float:
        if self._at is None:
            return STEP_CHECK_SECONDS
        return min(max(0.0, (self._at - self._world.now()) / SECOND), STEP_CHECK_SECONDS)


_CLOCK_REALTIME: Final = 0
_TFD_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC
_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2
_EACH_TIME: Final = _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET
_FAR_AWAY: Final = 4_102_444_800
"""2100-01-01 in seconds: an unset alarm still wants to hear of steps, so it is set to a date that does not come."""


class _TimerSpec(ctypes.Structure):
    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


def _load_libc() -> ctypes.CDLL | None:
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None, use_errno=True)
        library.timerfd_create.restype = ctypes.c_int
        return library
    return None


def _load_settime() -> Callable[[int, int, int, None], int]:
    # Keeps the interpreter's lock: the call takes a microsecond, and a thread that gets the lock meanwhile keeps it for 100.
    function = ctypes.PyDLL(None).timerfd_settime
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    return function


_libc = _load_libc()
_settime = _load_settime() if _libc is not None else None


class KernelAlarm:
    """An alarm over Linux' timerfd on the real-time clock: exact to tens of microseconds, and told of every step.

    Re-arming is one system call and wakes nobody.
    """

    def __init__(self) -> None:
        self._wanted: Instant | None = None
        self._descriptor: int | None = None
        self._spec = _TimerSpec(0, 0, 0, 0)
        self._where = ctypes.addressof(self._spec)

    def set(self, at: Instant | None) -> None:
        if at == self._wanted:
            return
        self._wanted = at
        if self._descriptor is not None:
            self._arm(self._descriptor)

    async def run(self, ring: Callable[[], None]) -> None:
        with self._open() as descriptor:
            self._arm(descriptor)
            while True:
                await trio.lowlevel.wait_readable(descriptor)
                try:
                    os.read(descriptor, 8)
                    self._wanted = None
                except BlockingIOError:
                    continue
                except OSError:
                    # ECANCELED: the wall clock was set, or the machine woke from a suspend.
                    self._arm(descriptor)
                ring()

    @contextmanager
    def _open(self) -> Iterator[int]:
        assert _libc is not None
        descriptor = _libc.timerfd_create(_CLOCK_REALTIME, _TFD_FLAGS)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._descriptor = descriptor
        try:
            yield descriptor
        finally:
            self._descriptor = None
            os.close(descriptor)

    def _arm(self, descriptor: int) -> None:
        # An instant at or before the epoch would disarm the timer; one nanosecond after it rings at once.
        microseconds = _FAR_AWAY * SECOND if self._wanted is None else max(self._wanted, 1)
        self._spec.seconds, rest = divmod(microseconds, SECOND)
        self._spec.nanoseconds = rest * 1000
        assert _settime is not None
        _settime(descriptor, _EACH_TIME, self._where, None)


async def termination_signals() -> AsyncIterator[signal.Signals]:
    """SIGINT and SIGTERM as they arrive."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for number in received:
            yield signal.Signals(number)
