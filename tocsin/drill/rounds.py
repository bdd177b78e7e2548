"""The course of a drill: canaries are made, something is done to a node, it is taken back, what the canaries left is collected.

Whatever happens, Ctrl-C too, the canaries are removed, a frozen node is thawed and a drained one takes part again. Canaries of a
drill that was itself killed end at the time that was set when they were made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, Protocol

import attrs

from runtime.clock import SECOND
from runtime.errors import Conflict, InvalidRequest, NotFound

from ..checker.history import History
from ..checker.verdict import Verdict
from ..durations import format_duration
from .evidence_core import Canary, Seen, canary_of, micros
from .measuring_core import Fault, measure
from .process import CONTINUE, KILL, STOP, Victim, victim_of
from .report_core import Report, Round, history_of, shown, tasks_of

Json = Mapping[str, Any]

KINDS: Final = ("kill-owner", "freeze", "drain")

POLL_SECONDS: Final = 0.1
"""Between two looks at who owns what: a tenth of what a person would call quick."""

TAKEOVER_SECONDS: Final = 60.0
"""How long a drill waits for others to have the victim's partitions: ten times what it takes with the defaults."""

SETTLE_SECONDS: Final = 60.0
"""How long it waits at the end for what came due to be done: what ran on a killed node waits for its lease."""

CALM_SECONDS: Final = 15.0
"""How long the first round waits for a node that it can do something to: one that was just started, or was suspected."""

RETURN_SECONDS: Final = 60.0
"""How long a further one waits."""

MARGIN_SECONDS: Final = 120.0
"""How much longer than foreseen canaries run by themselves."""

MOST_SLOTS: Final = 800
"""Nominal times of one canary in a round: nodes keep the last 1,000 executions of a task that ended well."""

_PAGE: Final = 1_000


class Api(Protocol):
    """What is asked of the cluster; the command line's client has it."""

    def call(self, operation: str, /, **arguments: Any) -> Any:
        """Carry out an operation."""
        ...

    def tasks(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every task that fits."""
        ...


class Clock(Protocol):
    """Time as the drill has it."""

    def now(self) -> int:
        """Microseconds since 1970."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@attrs.frozen
class Plan:
    """What is to be done. node: to whom; None: to the node that owns most, but not to the one that answers.

    canaries: how many; None: one for each partition. every: their period in microseconds. seconds: how long they are watched
    before and after. hold: how long a node stays frozen, in seconds. command: a person's command that sends signals.
    """

    kind: str
    node: str | None = None
    rounds: int = 1
    canaries: int | None = 12
    every: int = 500_000
    seconds: float = 10.0
    hold: float = 15.0
    command: str | None = None


def check_plan(plan: Plan) -> None:
    """Raise InvalidRequest for a plan that cannot be."""
    if not 1 <= plan.rounds <= 100:
        raise InvalidRequest(f"--rounds: from 1 to 100, not {plan.rounds}")
    if not 1 <= plan.seconds <= 1_800 or not 0 < plan.hold <= 600:
        raise InvalidRequest("--seconds: from 1 to 1800; --hold: up to 600 s")
    slots = (2 * plan.seconds + plan.hold) * SECOND / plan.every
    if slots > MOST_SLOTS:
        raise InvalidRequest(
            f"a canary that runs every {format_duration(plan.every)} would run {slots:.0f} times, and nodes keep the last 1,000: "
            "take a longer --every, or fewer --seconds"
        )
    if plan.command is not None and plan.kind == "drain":
        raise InvalidRequest("--with: a drain sends no signals")


@attrs.define(eq=False)
class Drill:
    """One drill. say: tells what is being done now. confirm: asks whether to go on, and raises if not. judge: the checker.

    name: of this drill, which its canaries have in their names.
    """

    api: Api
    clock: Clock
    plan: Plan
    name: str
    say: Callable[[str], None]
    confirm: Callable[[str], None]
    judge: Callable[[History], Verdict]
    reach: Callable[[Json, str | None], Victim] = victim_of
    _used: list[str] = attrs.field(factory=list)

    def run(self) -> Report:
        """All rounds. Raises Conflict if it cannot be done, or what the API raises."""
        check_plan(self.plan)
        rounds: list[Round] = []
        notes: tuple[str, ...] = ()
        for number in range(1, self.plan.rounds + 1):
            node = self._choose()
            if node is None:
                notes = (f"only {number - 1} of {self.plan.rounds} rounds: no other node is alive to do it to",)
                break
            rounds.append(self._round(node, number))
        return Report(self.plan.kind, tuple(rounds), notes)

    # -- whom

    def _choose(self) -> str | None:
        """The next victim; None if a further round finds nobody. Raises Conflict if the first one does not."""
        until = self.clock.now() + (RETURN_SECONDS if self._used else CALM_SECONDS) * SECOND
        while True:
            node, why = self._candidate()
            if node is not None:
                self._used.append(node)
                return node
            if self.clock.now() >= until:
                if self._used:
                    return None
                raise Conflict(why)
            self.clock.sleep(1.0)

    def _candidate(self) -> tuple[str | None, str]:
        nodes = self.api.call("list_nodes")["list"]
        if self.plan.node is not None and all(one["name"] != self.plan.node for one in nodes):
            raise NotFound(f"no node {self.plan.node!r}; there are {', '.join(sorted(one['name'] for one in nodes))}")
        if any(one["here"] and one["name"] == self.plan.node for one in nodes):
            raise Conflict(
                f"{self.plan.node} is the node that answers: ask another one (TOCSIN_DATA or TOCSIN_URL), or name another"
            )
        living = [one for one in nodes if one["state"] == "alive" and not one["here"] and one["partitions"]]
        wanted = [one for one in living if self.plan.node in (None, one["name"])]
        if not wanted:
            states = ", ".join(f"{one['name']} is {one['state']} and owns {one['partitions']}" for one in nodes)
            return None, f"a drill needs a living node that owns partitions, beside the one that answers: {states}"
        # Who was not hit for the longest time, then who owns most.
        return min(wanted, key=lambda one: (self._last(one["name"]), -one["partitions"], one["name"]))["name"], ""

    def _last(self, name: str) -> int:
        return max((index for index, used in enumerate(self._used) if used == name), default=-1)

    # -- one round

    def _round(self, node: str, number: int) -> Round:
        with self._reached(node, number) as victim, self._canaries(f"{self.name}-{number}") as canaries:
            self.say(f"round {number}: {len(canaries)} canaries, watched for {self.plan.seconds:g} s")
            # Each has run once when its first period is over.
            self.clock.sleep(self.plan.seconds + self.plan.every / SECOND)
            fault = self._hit(node, victim)
            self.say(f"round {number}: it is over, the canaries are watched for {self.plan.seconds:g} s more")
            self.clock.sleep(self.plan.seconds)
            seen = self._collect(canaries)
        return self._judged(fault, seen)

    @contextmanager
    def _reached(self, node: str, number: int) -> Iterator[Victim | None]:
        """The victim's process, after a person has agreed; nothing for a drain."""
        plan = self.plan
        if plan.kind == "drain":
            if number == 1:
                self.confirm(f"{node} gives its partitions away and gets them back")
            yield None
            return
        told = self.api.call("show_process", node=node)
        victim = self.reach(told, plan.command)
        try:
            if number == 1:
                done = "is killed" if plan.kind == "kill-owner" else f"is frozen for {plan.hold:g} s"
                further = f", and {plan.rounds - 1} more after it" if plan.rounds > 1 else ""
                self.confirm(f"{node}, process {told['pid']} on {told['host']}, {done}{further}")
            yield victim
        finally:
            victim.close()

    @contextmanager
    def _canaries(self, name: str) -> Iterator[list[Canary]]:
        plan = self.plan
        foreseen = 2 * plan.seconds + plan.hold + TAKEOVER_SECONDS + SETTLE_SECONDS + MARGIN_SECONDS
        until = self.clock.now() + round(foreseen * SECOND)
        body = {
            "drill": name,
            "every": format_duration(plan.every),
            "until": shown(until),
            **({} if plan.canaries is None else {"number": plan.canaries}),
        }
        try:
            made = self.api.call("add_canaries", body=body)["list"]
            yield [canary_of(one, plan.every, until) for one in made]
        finally:
            self.say("the canaries are removed")
            for task in self._tasks(name):
                with suppress(NotFound):
                    self.api.call("cancel_task", task=task["itemId"], permanent=True)

    def _tasks(self, name: str) -> list[dict[str, Any]]:
        """The canaries of a round as they are now."""
        return [
            one for one in self.api.tasks(type="canary", text=f"canary {name} ") if one["labels"].get("drill") == name
        ]

    # -- what is done to a node

    def _hit(self, node: str, victim: Victim | None) -> Fault:
        owned = frozenset(number for number, owner in self._owners().items() if owner == node)
        self.say(f"{node}, which owns {len(owned)} partitions: {self.plan.kind}")
        began = self.clock.now()
        handed: dict[int, int] = {}
        with self._harmed(node, victim) as heal:
            if self.plan.kind == "freeze":
                self._watch(node, owned, handed, self.plan.hold, to_the_end=True)
            else:
                self._watch(node, owned, handed, TAKEOVER_SECONDS)
            healed = self.clock.now()
            heal()
        return Fault(self.plan.kind, node, began, healed, owned, handed)

    def _harmed(self, node: str, victim: Victim | None) -> AbstractContextManager[Callable[[], None]]:
        """Does it, and takes it back at the end of the block, or when it is told to."""
        match self.plan.kind:
            case "kill-owner":
                return self._killed(victim)
            case "freeze":
                return self._frozen(victim)
            case _:
                return self._drained(node)

    @contextmanager
    def _killed(self, victim: Victim | None) -> Iterator[Callable[[], None]]:
        assert victim is not None, "a drain has no process"
        victim.send(KILL)
        yield lambda: None

    @contextmanager
    def _frozen(self, victim: Victim | None) -> Iterator[Callable[[], None]]:
        assert victim is not None, "a drain has no process"
        victim.guard(self.plan.hold)
        try:
            victim.send(STOP)
            yield lambda: victim.send(CONTINUE)
        finally:
            victim.send(CONTINUE)

    @contextmanager
    def _drained(self, node: str) -> Iterator[Callable[[], None]]:
        def undo() -> None:
            self.api.call("drain_node", node=node, undo=True)

        try:
            self.api.call("drain_node", node=node)
            yield lambda: None
        finally:
            undo()

    def _watch(
        self, node: str, owned: frozenset[int], handed: dict[int, int], seconds: float, *, to_the_end: bool = False
    ) -> None:
        """Note when each partition has another owner, until all have, or for so long."""
        until = self.clock.now() + seconds * SECOND
        while self.clock.now() < until and (to_the_end or len(handed) < len(owned)):
            owners, now = self._owners(), self.clock.now()
            for number in owned:
                if owners.get(number) not in (None, node):
                    handed.setdefault(number, now)
            self.clock.sleep(POLL_SECONDS)

    def _owners(self) -> dict[int, str | None]:
        return {one["number"]: one["owner"] for one in self.api.call("list_partitions")["list"]}

    # -- what is left

    def _collect(self, canaries: list[Canary]) -> list[Seen]:
        cutoff = self.clock.now()
        self.say("what is due is waited for, and collected")
        finished = self._wait_settled(canaries, cutoff)
        return [self._seen(one, cutoff, one.id in finished) for one in canaries]

    def _wait_settled(self, canaries: list[Canary], cutoff: int) -> set[str]:
        """Wait until all that came due is done, or for so long. Answers which canaries have come to their end."""
        until = cutoff + SETTLE_SECONDS * SECOND
        name = canaries[0].name.removeprefix("canary ").rpartition(" ")[0]
        waiting, finished = {one.id for one in canaries}, set()
        while True:
            for task in self._tasks(name):
                following = task["nextScheduledExecution"]
                if not task["open"] and (following is None or micros(following) > cutoff):
                    waiting.discard(task["itemId"])
                if task["phase"] == "finished":
                    finished.add(task["itemId"])
            if not waiting or self.clock.now() >= until:
                return finished
            self.clock.sleep(POLL_SECONDS)

    def _seen(self, canary: Canary, cutoff: int, finished: bool) -> Seen:
        rows = self.api.call("list_executions", task=canary.id, limit=_PAGE)["list"]
        due = [row for row in rows if row["nominal"] is not None and micros(row["nominal"]) <= cutoff]
        tried = [self.api.call("show_execution", execution=row["id"]) if row["attempt"] > 1 else row for row in due]
        ledger = self.api.call(
            "list_outcomes", task=canary.id, since=shown(canary.created_at), until=shown(cutoff), limit=_PAGE
        )["list"]
        return Seen(canary, tried, ledger, min(cutoff, canary.until - 1), finished)

    def _judged(self, fault: Fault, seen: list[Seen]) -> Round:
        tasks = tasks_of(seen)
        nodes = self.api.call("list_nodes")["list"]
        skew = max((abs(one["offsetMs"] or 0.0) for one in nodes), default=0.0) * 1_000
        verdict = self.judge(history_of(seen, tasks, fault, self.clock.now(), round(skew)))
        return Round(fault, len(seen), measure(tasks, fault), verdict, self._afterwards(fault, nodes))

    def _afterwards(self, fault: Fault, nodes: list[dict[str, Any]]) -> str:
        states = [one["state"] for one in nodes if one["name"] == fault.node]
        if "alive" in states:
            again = ", started again by whoever looks after it" if fault.kind == "kill-owner" else ""
            return f"{fault.node} is alive{again}"
        if fault.kind == "kill-owner":
            return f"{fault.node} is gone: neither Tocsin nor its development cluster starts a node again, a service manager may"
        return f"{fault.node} is {states[0] if states else 'gone'}"
