"""A user's strategy of placement with a deadline: whatever it does, the node that decides is held up for an instant at most.

Theory of operation. Where an execution runs is decided in the middle of a commit, so the answer is needed at once, and foreign
code may never give one. It is called in a thread of its own, and waited for, for `DEADLINE_SECONDS`; that is what it can cost the
node's loop. One that takes longer is not asked again before its call has come back and `REST_SECONDS` are over: so it costs the
loop that much once in each rest. For one that raises or is late `least_loaded` chooses (`actors/rules/placing.py`), and the log,
the node's health and `tocsin task why` tell so.

The thread is one for each strategy, so a strategy is never called twice at the same time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Final

from actors.model.peer import Peer
from actors.rules.placing import MAX_ORDER, Candidate, Facts, Strategy, Wanted

DEADLINE_SECONDS: Final = 0.05
"""For one decision. A strategy needs some microseconds; what takes longer waits for something, and the node with it."""

REST_SECONDS: Final = 10.0
"""For how long one that was late is not asked."""

Answer = tuple[Wanted | tuple[Wanted, ...] | None, Exception | None]
Question = tuple[Sequence[Candidate], Facts, SimpleQueue[Answer]]


class TooSlow(Exception):
    """The strategy has not answered in time."""


class Bounded:
    """See the module's docstring. `inner`: the user's strategy; `deadline` and `rest`: seconds."""

    def __init__(self, inner: Strategy, deadline: float = DEADLINE_SECONDS, rest: float = REST_SECONDS) -> None:
        self.inner = inner
        self._deadline = deadline
        self._rest = rest
        self._questions: SimpleQueue[Question] = SimpleQueue()
        self._late: SimpleQueue[Answer] | None = None
        self._rests_until = 0.0
        self._thread: threading.Thread | None = None

    def choose(self, candidates: Sequence[Candidate], facts: Facts) -> Wanted | tuple[Wanted, ...] | None:
        """What the strategy says. Raises what it raises, and TooSlow."""
        if self._late is not None and self._late.empty():
            raise TooSlow("it has not come back from a former call")
        self._late = None
        if time.monotonic() < self._rests_until:
            raise TooSlow(f"it took longer than {self._deadline:g} s and is not asked for {self._rest:g} s")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="placement", daemon=True)
            self._thread.start()
        answers: SimpleQueue[Answer] = SimpleQueue()
        self._questions.put((candidates, facts, answers))
        try:
            chosen, error = answers.get(timeout=self._deadline)
        except Empty:
            self._late, self._rests_until = answers, time.monotonic() + self._rest
            raise TooSlow(f"did not answer within {self._deadline:g} s") from None
        if error is not None:
            raise error
        return chosen

    def _work(self) -> None:
        while True:
            candidates, facts, answers = self._questions.get()
            try:
                answers.put((_whole(self.inner.choose(candidates, facts)), None))
            except Exception as error:
                answers.put((None, error))


def _whole(answer: Wanted | Iterable[Wanted] | None) -> Wanted | tuple[Wanted, ...] | None:
    """An answer that nothing of the strategy is needed for any more: a generator runs in the strategy's thread."""
    if answer is None or isinstance(answer, Peer | Candidate | str):
        return answer
    return tuple(islice(answer, MAX_ORDER))


def plain(strategy: Strategy) -> Strategy:
    """The strategy without a deadline: in virtual time nothing may depend on how long it took."""
    return strategy.inner if isinstance(strategy, Bounded) else strategy
