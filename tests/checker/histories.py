"""Histories made up by hand: a story is told attempt by attempt, and both witnesses, the record and the store, write it down."""

from __future__ import annotations

import json
from typing import Any

import attrs

from tocsin.checker.history import (
    Attempt,
    Bounds,
    Execution,
    History,
    Line,
    Ownership,
    Request,
    Revision,
    Row,
    Span,
    Task,
    Write,
)

SECOND = 1_000_000
BEGIN = 1_800_000_000 * SECOND
"""When every story begins; a whole minute."""

BOUNDS = Bounds(heal=30 * SECOND)


def sec(seconds: float) -> int:
    """An instant of the story."""
    return BEGIN + round(seconds * SECOND)


@attrs.define
class Tale:
    """One task and what happens to it. Fences grow by themselves."""

    task: Task
    lines: list[Line] = attrs.field(factory=list)
    executions: dict[str, Execution] = attrs.field(factory=dict)
    rows: list[Row] = attrs.field(factory=list)
    fence: int = 0

    def execution(self, key: str, nominal: int | None = None, **more: Any) -> str:
        """One that waits."""
        given: dict[str, Any] = {"created_at": nominal, "state": "WAITING", "nominal": nominal}
        self.executions[key] = Execution(key, **given | more)
        return key

    def attempt(
        self,
        key: str,
        start: int,
        end: int,
        process: str = "n1.1",
        *,
        state: str = "COMPLETED",
        position: int | None = None,
        keeps: tuple[int, ...] = (),
        comes_back: bool = True,
        effect: str | None = None,
        boot: str | None = None,
    ) -> int:
        """The next attempt, from start to end by the store. Answers its fence.

        keeps: checkpoints it writes. comes_back: writes its end. effect: the key of something that it does at its end.
        """
        self.fence += 1
        one = self.executions[key]
        number, node = len(one.attempts) + 1, process.split(".")[0]
        self._write("start", process, key, number, start, one.nominal, position=position)
        for index, kept in enumerate(keeps):
            at = start + (end - start) * (index + 1) // (len(keeps) + 1)
            self._write("trying", process, key, number, at - 1, one.nominal, position=kept)
            self._write("kept", process, key, number, at, one.nominal, position=kept)
        if effect is not None:
            self._write("effect", process, key, number, end - 1, one.nominal, name=effect)
        if comes_back:
            self._write("end" if state == "COMPLETED" else "cut", process, key, number, end, one.nominal)
        outcome, reason = one.outcome, one.reason
        if one.nominal is not None and outcome is None:
            outcome, reason = ("fired", None) if start - one.nominal <= SECOND else ("late", "downtime")
        made = Attempt(
            number, self.fence, state, start, None if state == "RUNNING" else end, boot or f"{process} lease", node
        )
        self.executions[key] = attrs.evolve(
            one,
            state=state,
            outcome=outcome,
            reason=reason,
            fence=self.fence,
            result=json.dumps({"fence": self.fence}) if state == "COMPLETED" else None,
            attempts=(*one.attempts, made),
        )
        return self.fence

    def fire(self, nominal: int, length: int = 100_000, process: str = "n1.1", **more: Any) -> str:
        """A slot that runs on time, once, and completes."""
        key = self.execution(f"{self.task.name}@{(nominal - BEGIN) / SECOND:g}", nominal)
        self.attempt(key, nominal + 1_000, nominal + 1_000 + length, process, **more)
        return key

    def row(self, first: int, last: int, count: int, outcome: str, reason: str, execution: str | None = None) -> None:
        """Slots that do not run."""
        self.rows.append(Row(first, last, count, outcome, reason, execution))

    def told(self) -> Task:
        """The task as the store has it."""
        return attrs.evolve(
            self.task,
            fence=max(self.task.fence, self.fence),
            rows=tuple(self.rows),
            executions=tuple(self.executions.values()),
        )

    def _write(
        self, kind: str, process: str, key: str, number: int, at: int, nominal: int | None, *,
        position: int | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        self.lines.append(Line(kind, process, self.task.id, key, number, self.fence, at, nominal, position, name))


@attrs.define
class Story:
    """A whole run. seconds: until the store is read."""

    seconds: float = 120
    healed: float = 0
    bounds: Bounds = BOUNDS
    tales: list[Tale] = attrs.field(factory=list)
    spans: list[Span] = attrs.field(factory=list)
    requests: list[Request] = attrs.field(factory=list)
    writes: list[Write] | None = None
    ownership: Ownership | None = None
    partitions: int = 0

    def task(self, name: str, trigger: dict[str, Any] | None = None, **more: Any) -> Tale:
        """A task, made when the story begins. trigger: by default every ten seconds."""
        trigger = {"every": 10 * SECOND, "anchor": BEGIN} if trigger is None else trigger
        given: dict[str, Any] = {
            "phase": "active",
            "settled_through": sec(self.seconds),
            "created_at": BEGIN,
            "revisions": (Revision(BEGIN, trigger),),
        }
        tale = Tale(Task(f"id of {name}", name, **given | more))
        self.tales.append(tale)
        self.ask("create", tale, 0)
        return tale

    def ask(
        self, verb: str, tale: Tale, at: float, answer: str = "ok", *, key: str | None = None, takes: float = 0.01
    ) -> None:
        """A request."""
        answered = None if answer == "unknown" else sec(at + takes)
        self.requests.append(Request(verb, tale.task.id, sec(at), answered, answer, key))

    def fault(self, kind: str, subject: str, begin: float, end: float | None = None) -> None:
        """Something is wrong."""
        self.spans.append(Span(kind, subject, sec(begin), None if end is None else sec(end)))
        self.healed = max(self.healed, begin if end is None else end)

    def told(self) -> History:
        """What is judged."""
        lines = sorted((line for tale in self.tales for line in tale.lines), key=lambda line: line.at)
        return History(
            tuple(tale.told() for tale in self.tales),
            tuple(lines),
            sec(self.seconds),
            sec(self.healed),
            tuple(self.spans),
            tuple(self.requests),
            None if self.writes is None else tuple(self.writes),
            self.ownership,
            self.partitions,
            self.bounds,
        )
