"""A scheduler so dumb that it cannot be wrong: random histories, by the rules, one slot after the other."""

from __future__ import annotations

import random
from itertools import pairwise

import attrs

from tests.checker.histories import BEGIN, SECOND, Story, Tale, sec

CALM = 220
"""All faults are over by then."""

LEASE = 5.0
"""So long after a process stopped its attempts have crashed, seconds."""

Spans = list[tuple[float, float]]


@attrs.define
class Dumb:
    """What happens to one task. outages: when nothing is settled; frozen: when n2.1 stands still; dies: when n1.1 dies."""

    rng: random.Random
    story: Story
    tale: Tale
    outages: Spans
    frozen: Spans
    dies: float
    busy: float = 0
    blocker: str = ""
    waiting: float = 0

    def run(self, until: int) -> None:
        """Settle every slot."""
        every = self.tale.task.revisions[0].trigger["every"]
        slots = [time / SECOND for time in range(every, until * SECOND + 1, every)]
        pauses = self._pauses()
        while slots:
            outage = next((end for begin, end in self.outages if begin <= slots[0] < end), None)
            pause = next((end for begin, end in pauses if begin < slots[0] < end), None)
            if pause is not None:
                owed = [slot for slot in slots if slot < pause]
                self.tale.row(sec(owed[0]), sec(owed[-1]), len(owed), "skipped", "paused")
            elif outage is not None:
                owed = [slot for slot in slots if slot <= outage]
                self._catch_up(owed, outage)
            else:
                owed = slots[:1]
                self._slot(slots[0], slots[0])
            slots = slots[len(owed) :]

    def _pauses(self) -> Spans:
        begin = self.rng.uniform(5, CALM)
        end = begin + self.rng.uniform(1, 60)
        if self.rng.random() < 0.6 or any(low < end + 1 and begin - 1 < high for low, high in self.outages):
            return []
        self.story.ask("pause", self.tale, begin)
        self.story.ask("resume", self.tale, end)
        return [(begin + 0.01, end + 0.01)]

    def _catch_up(self, owed: list[float], now: float) -> None:
        """Settle what came due in an outage, when it is over."""
        match self.tale.task.catch_up:
            case "latest":
                self._range(owed[:-1], "coalesced", "catch_up")
                self._slot(owed[-1], now)
            case "earliest":
                self._slot(owed[0], now)
                self._range(owed[1:], "coalesced", "catch_up")
            case "skip":
                self._range(owed, "missed", "downtime")
            case _:
                for slot in owed:
                    self._slot(slot, now, caught_up=True)

    def _range(self, slots: list[float], outcome: str, reason: str) -> None:
        if slots:
            self.tale.row(sec(slots[0]), sec(slots[-1]), len(slots), outcome, reason)

    def _slot(self, nominal: float, now: float, *, caught_up: bool = False) -> None:
        overlap, begin, reason = self.tale.task.overlap, now, None
        if overlap != "allow" and self.busy > now:
            full = self.waiting > now
            if not caught_up and (overlap == "skip" or full):
                self.tale.row(sec(nominal), sec(nominal), 1, "skipped", "overlap", self.blocker)
                return
            begin, reason = self.busy, "overlap"
            self.waiting = begin
        key = self.tale.execution(f"{self.tale.task.name}@{nominal:g}", sec(nominal), created_at=sec(now))
        self._attempts(key, begin + self.rng.uniform(0.001, 0.05))
        if reason is not None and self.tale.executions[key].outcome == "late":
            self.tale.executions[key] = attrs.evolve(self.tale.executions[key], reason=reason)
        self.blocker = key

    def cancel(self) -> float:
        """When all is done; what came due since is skipped. Answers when that was."""
        at = max(self.busy, CALM) + 1
        every = self.tale.task.revisions[0].trigger["every"]
        owed = [slot for slot in range(BEGIN + every, sec(at) + 1, every) if slot > sec(CALM)]
        if owed:
            self.tale.row(owed[0], owed[-1], len(owed), "skipped", "cancelled")
        self.tale.task = attrs.evolve(self.tale.task, settled_through=sec(at), phase="cancelled")
        self.story.ask("cancel", self.tale, at)
        return at

    def by_hand(self, number: int, at: float) -> None:
        """A run that somebody asks for; the dumb scheduler is asked only where overlap is allowed."""
        key = self.tale.execution(f"{self.tale.task.name} run {number}", created_at=sec(at))
        self.story.ask("run", self.tale, at, self.rng.choice(["ok", "unknown"]), key=key)
        self._attempts(key, at + 0.005)

    def _attempts(self, key: str, at: float) -> None:
        position, failures = 0, 0
        while True:
            process = self._process(at)
            length = self.rng.choice([0.05, 0.3, 2.0, 9.0])
            stop = self._stop(process, at, at + length)
            if stop is None:
                fails = failures < 2 and self.rng.random() < 0.15
                kept = self._attempt(key, at, at + length, process, position, "FAILED" if fails else "COMPLETED")
                position = position if kept is None else kept
                if not fails:
                    break
                failures += 1
                at += length + 1
                continue
            begin, thaw = stop
            kept = self._attempt(key, at, begin + LEASE, process, position, "CRASHED", stopped=begin)
            position = position if kept is None else kept
            if thaw is not None:
                self._thaw(key, thaw, process)
            at = begin + LEASE + self.rng.uniform(0.01, 2)
        self.busy = max(self.busy, at + length)

    def _process(self, at: float) -> str:
        """One that runs now."""
        living = ["n3.1", "n1.1" if at < self.dies else "n1.2"]
        if not any(begin - 0.1 <= at <= end + 1.1 for begin, end in self.frozen):
            living.append("n2.1")
        return self.rng.choice(living)

    def _stop(self, process: str, begin: float, end: float) -> tuple[float, float | None] | None:
        """When the process stops in (begin, end) so long that its lease is over, and when it goes on."""
        if process == "n1.1" and begin < self.dies < end:
            return self.dies, None
        if process == "n2.1":
            for low, high in self.frozen:
                if begin < low < end and high > low + LEASE:
                    return low, high
        return None

    def _attempt(
        self, key: str, at: float, end: float, process: str, position: int, state: str, stopped: float | None = None
    ) -> int | None:
        """Answers the newest checkpoint, if there is one."""
        works = (end if stopped is None else stopped) - at
        keeps = tuple(range(position + 1, position + 1 + (self.rng.randint(0, 2) if works > 1 else 0)))
        length = len(self.tale.lines)
        self.tale.attempt(
            key,
            sec(at),
            sec(end),
            process,
            state=state,
            position=position or None,
            keeps=keeps,
            comes_back=stopped is None,
        )
        if stopped is not None:
            # What the story wrote down as work until the lease was over happened before the process stopped.
            share = (stopped - at) / (end - at)
            first = self.tale.lines[length].at
            self.tale.lines[length:] = [
                attrs.evolve(line, at=first + round((line.at - first) * share)) for line in self.tale.lines[length:]
            ]
        return keeps[-1] if keeps else None

    def _thaw(self, key: str, thaw: float, process: str) -> None:
        start = next(line for line in reversed(self.tale.lines) if line.kind == "start")
        if self.rng.random() < 0.5:
            self.tale.lines.append(attrs.evolve(start, kind="effect", at=sec(thaw + 0.1), key="mail", position=None))
        self.tale.lines.append(attrs.evolve(start, kind="cut", at=sec(thaw + 0.2), position=None))


def _some(rng: random.Random, number: int, longest: float) -> Spans:
    """Stretches of time apart from each other."""
    edges = sorted(rng.uniform(10, CALM - longest) for _ in range(number))
    return [
        (edge, min(edge + rng.uniform(2, longest), following - 3))
        for edge, following in pairwise([*edges, float(CALM)])
        if following - edge > 8
    ]


def random_story(seed: int) -> Story:
    """A history that is right, whatever happens in it."""
    rng = random.Random(seed)
    story = Story()
    outages, frozen, dies = _some(rng, rng.randint(0, 2), 40), _some(rng, rng.randint(0, 2), 30), rng.uniform(20, CALM)
    for begin, end in outages:
        story.fault("store", "", begin, end)
    for begin, end in frozen:
        story.fault("frozen", "n2.1", begin, end)
    story.fault("dead", "n1.1", dies)
    story.healed, ends = CALM, []
    for number in range(rng.randint(1, 4)):
        overlap, catch_up = rng.choice(["skip", "allow", "queue"]), rng.choice(["latest", "skip", "earliest", "all"])
        trigger = {"every": rng.randint(40, 300) * SECOND // 10, "anchor": BEGIN}
        tale = story.task(f"t{number}", trigger, overlap=overlap, catch_up=catch_up, max_retries=3)
        dumb = Dumb(rng, story, tale, outages, frozen, dies)
        dumb.run(CALM)
        if overlap == "allow":
            for run in range(rng.randint(0, 2)):
                dumb.by_hand(run, rng.uniform(1, CALM))
        ends.append(dumb.cancel())
    story.seconds = max(ends) + 60
    return story
