"""The keeper and its executor: what each believes of the other, brought together again after either was started anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from runtime.clock import Instant

from .keeper_claims import Claims
from .keeper_messages import AttemptEnd, InSync, Interrupt, RequestSync
from .keeper_progression import Progression
from .keeper_staging import Staged
from .model.execution import Execution
from .model.lifecycle import State
from .rules import attempts


class Sync:
    """See the module's docstring. `new_id` makes the tokens of requests.

    Only the answer to the last request counts. What the executor says when it starts may be older than what was told to it
    just now, so nothing is claimed until it has answered a request that comes behind that. A request is told when no plan that
    claims something is left whose commit has not been answered, since their Starts follow their commits: an attempt that the
    executor had not heard of when it answered, and the store has, would be taken for lost while its handler runs.
    """

    def __init__(self, claims: Claims, progression: Progression, new_id: Callable[[], str]) -> None:
        self._claims = claims
        self._progression = progression
        self._new_id = new_id
        self._expected = new_id()
        self._wanted = False
        self._claimed = 0

    @property
    def request(self) -> RequestSync:
        """What to tell the executor so that claims may begin."""
        return RequestSync(self._expected)

    def decided(self, starts: int) -> None:
        """A plan was made: so much of what it claims is started when the store has answered."""
        self._claimed += starts

    def requests(self, starts: int) -> list[RequestSync]:
        """The request that has to be told now, behind every Start decided before it. starts: of a plan that was answered."""
        self._claimed -= starts
        if not self._wanted or self._claimed:
            return []
        self._wanted = False
        return [self.request]

    def ask_anew(self) -> None:
        """What the executor has must be compared with the store again; until then nothing is claimed."""
        self._claims.lose_sync()
        self._expected = self._new_id()
        self._wanted = True

    def begin_anew(self, boot: str) -> None:
        """The node goes on under another boot id: what runs is not its own any more."""
        self._claims.boot, self._claims.in_doubt, self._claims.without_lease = boot, False, False
        self.ask_anew()

    def is_answer(self, message: InSync) -> bool:
        """Whether this is the word that counts."""
        return message.token == self._expected

    def hear(self, message: InSync) -> bool:
        """The executor said something: whether it is the word that counts. One that has started has to be asked."""
        if not message.token:
            self.ask_anew()
        return self.is_answer(message)

    def compare(
        self, message: InSync, occupied: Iterable[Staged], end: Callable[[Iterable[AttemptEnd]], None], now: Instant
    ) -> None:
        """The executor said what it has: whatever else runs under this boot was lost on the way and is run again.

        occupied: all tasks with something that runs or lingers; from them is known who holds what. What other nodes hold is not
        ours to count: it would not be heard when they let it go.
        """
        self._claims.synchronise(message.slots)
        boot, alone = self._claims.boot, self._claims.places.is_alone
        tasks = list(occupied)
        for staged in tasks:
            for execution in staged.executions.values():
                if (execution.state is State.RUNNING or execution.lingers) and (alone or execution.boot == boot):
                    self._claims.holds(staged.definition, execution)
        for staged in tasks:
            for execution in list(staged.executions.values()):
                if execution.boot == boot:
                    self._compare(staged, execution, message, end, now)

    def _compare(
        self,
        staged: Staged,
        execution: Execution,
        message: InSync,
        end: Callable[[Iterable[AttemptEnd]], None],
        now: Instant,
    ) -> None:
        """What was lost on the way: a start, the word that it was cancelled, or that an abandoned handler has returned."""
        if execution.lingers and (execution.id, execution.fence) not in message.abandoned:
            self._progression.returned(staged, execution, now)
        elif execution.state is State.RUNNING:
            if (execution.id, execution.fence) not in message.running:
                end((attempts.lost(execution, now),))
            elif execution.cancel_reason is not None:
                staged.directives += (Interrupt(execution.id, execution.fence, execution.cancel_reason),)
