"""A queue of one's own: which of the executions that are ready is given next, and which is held back.

A node tells such a queue of every stored execution that is ready, and asks it who is next whenever it has room. What it answers
is a hint: claims, fences and the ledger stay the node's, so a queue that forgets, doubles or invents a job changes the order and
nothing else. It has Exago's nine verbs, of which `data` is for people only. `JobQueue` does all of them and is meant to be
derived from; a class that does so otherwise needs the methods of `Verbs` and no base class.

A job is a mapping, the same that a remote queue gets as JSON:

    job, taskId, state      ids; `waiting`: may be given; `running`: was given; `removed`: neither any more
    task, type, tenant, owner, queue, priority, tags, labels, parameters, kind, attempt, nominal, createdAt
                            while it waits: its task's, and its own times (RFC 3339). Parameters of more than 4 KiB are null
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

Job = Mapping[str, Any]
"""A job as a queue is told of it; see the module's docstring."""

VERBS: Final = ("start", "save", "next", "list", "data", "delete", "rename", "update", "flush")
"""What a queue can be asked, as methods of a class and as the last part of a remote queue's addresses."""

NEEDED: Final = ("start", "save", "next")
"""The verbs without which there is no queue; what else a class does not have is not asked of it."""


class Verbs(Protocol):
    """What a class may be asked. It is made without arguments, and called in one thread, one call after another."""

    def start(self, node: str) -> None:
        """A node begins to tell of its jobs, all of them; what was known of it before is over."""
        ...

    def save(self, node: str, jobs: Sequence[Job]) -> None:
        """These jobs stand so now: new ones and known ones."""
        ...

    def next(self, node: str, count: int) -> Iterable[str]:
        """The ids of those that are given next, in this order, at most so many. Fewer or none holds the others back."""
        ...

    def list(self, node: str) -> Iterable[str] | None:
        """The ids of all that may be given some time: what waits and is not among them is told again. None: not said."""
        ...

    def data(self, node: str, job: str) -> Job | None:
        """One job as the queue has it, for `tocsin doctor`; None if it has none of that id."""
        ...

    def delete(self, node: str, task: str) -> None:
        """A task (id) is gone; its jobs are told as removed, too."""
        ...

    def rename(self, node: str, task: str, name: str) -> None:
        """A task has another name."""
        ...

    def update(self, node: str, task: str, facts: Mapping[str, Any]) -> None:
        """A task is another one now: of its waiting jobs these facts hold."""
        ...

    def flush(self, node: str, before: str) -> None:
        """Somebody has removed what ended before this time: it may be forgotten here too."""
        ...


class JobQueue:
    """A queue in memory, by priority and age; to derive from: `rank` says who is first, and `may_run` who waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, Any]] = {}
        self._running: dict[str, dict[str, Any]] = {}

    def rank(self, job: Job) -> Any:
        """What is compared: the smallest is given first. It may not change while a job waits."""
        return job["priority"], job["job"]

    def may_run(self, job: Job, running: Sequence[Job]) -> bool:
        """Whether a job may be given now; `running`: those that were given and have not ended."""
        return True

    # -- the verbs

    def start(self, node: str) -> None:
        """See `Verbs`, as for all that follow."""
        self._waiting.clear()
        self._running.clear()

    def save(self, node: str, jobs: Sequence[Job]) -> None:
        for job in jobs:
            known = self._waiting.pop(job["job"], None) or self._running.pop(job["job"], None) or {}
            if job["state"] == "waiting":
                self._waiting[job["job"]] = dict(job)
            elif job["state"] == "running":
                self._running[job["job"]] = known | dict(job)

    def next(self, node: str, count: int) -> Sequence[str]:
        given: list[dict[str, Any]] = []
        running = list(self._running.values())
        for job in sorted(self._waiting.values(), key=self.rank):
            if len(given) == count:
                break
            if self.may_run(job, [*running, *given]):
                given.append(job)
        return [job["job"] for job in given]

    def list(self, node: str) -> Iterable[str]:
        return [*self._waiting]

    def data(self, node: str, job: str) -> Job | None:
        return self._waiting.get(job) or self._running.get(job)

    def delete(self, node: str, task: str) -> None:
        for kind in (self._waiting, self._running):
            for job in [key for key, one in kind.items() if one["taskId"] == task]:
                del kind[job]

    def rename(self, node: str, task: str, name: str) -> None:
        self.update(node, task, {"task": name})

    def update(self, node: str, task: str, facts: Mapping[str, Any]) -> None:
        for job in (*self._waiting.values(), *self._running.values()):
            if job["taskId"] == task:
                job.update(facts)

    def flush(self, node: str, before: str) -> None:
        """Nothing that has ended is kept here."""
