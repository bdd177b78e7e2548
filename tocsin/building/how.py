"""The builder's verbs that say how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from actors.model.policy import DEFAULT_POLICIES, Policies
from runtime.errors import InvalidRequest

from ..durations import Duration
from ..vocabulary.checks import known_type
from ..vocabulary.policies import Retry, changed_policies

if TYPE_CHECKING:
    from actors.handling.catalogue import Catalogue


class PolicyVerbs:
    """One verb for each policy; what is not said is as the task type has it."""

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        self._changes: dict[str, object] | None = None

    def retry(self, policy: Retry) -> Self:
        """How often and how soon a failed execution is tried again."""
        return self._policy("retry", policy)

    def on_exhausted(self, policy: Literal["wait", "pause"]) -> Self:
        """What is done about a recurring task whose retries are used up."""
        return self._policy("on_exhausted", policy)

    def timeout(self, limit: Duration) -> Self:
        """How long an attempt may take."""
        return self._policy("timeout", limit)

    def heartbeat_timeout(self, limit: Duration) -> Self:
        """How long an attempt may be without a sign of life."""
        return self._policy("heartbeat_timeout", limit)

    def lateness_limit(self, limit: Duration) -> Self:
        """How late an occurrence may still be run."""
        return self._policy("lateness_limit", limit)

    def max_wait(self, limit: Duration) -> Self:
        """How long an execution may wait for its start once it was admitted."""
        return self._policy("max_wait", limit)

    def catch_up(
        self,
        policy: Literal["latest", "skip", "earliest", "all"],
        *,
        limit: int | None = None,
        rate: str | None = None,
    ) -> Self:
        """What is done about occurrences missed while the node was down.

        With `all`, `limit` says how many are run at most, and `rate` how fast: "10/m".
        """
        if limit is not None:
            self._policy("catch_up_limit", limit)
        if rate is not None:
            self._policy("catch_up_rate", rate)
        return self._policy("catch_up", policy)

    def overlap(
        self, policy: Literal["skip", "allow", "queue", "queue_all", "replace"], *, limit: int | None = None
    ) -> Self:
        """What is done when the former execution still runs; with `queue_all`, `limit` says how many wait at most."""
        if limit is not None:
            self._policy("overlap_limit", limit)
        return self._policy("overlap", policy)

    def on_crash(self, policy: Literal["resume", "rerun", "hold"]) -> Self:
        """What is done about an execution whose process died."""
        return self._policy("on_crash", policy)

    def priority(self, number: int) -> Self:
        """0 runs first, 9 last; 5 unless said."""
        return self._policy("priority", number)

    def queue(self, name: str) -> Self:
        """The queue that its executions wait in."""
        return self._policy("queue", name)

    def concurrency(self, key: str, *, limit: int = 1) -> Self:
        """At most so many executions of all tasks with this key at once; with 1 the key is a lock."""
        if self._changes is None:
            self._changes = {}
        self._changes["concurrency"] = {"key": key, "limit": limit}
        return self

    def ttl(self, keep: Duration) -> Self:
        """How long ended executions, and the task once it has finished, are kept."""
        return self._policy("ttl", keep)

    def _policy(self, name: str, value: object) -> Self:
        if value is None:
            raise InvalidRequest(f"{name}: a value, not None")
        if self._changes is None:
            self._changes = {}
        self._changes[name] = value
        return self

    def how(self, catalogue: Catalogue, type_name: str) -> Policies | None:
        """The policies, None for those of the type. Raises InvalidRequest."""
        if self._changes is None:
            return None
        base = known_type(catalogue, type_name).policies
        return changed_policies(DEFAULT_POLICIES if base is None else base, self._changes)
