"""Who ran at the same time as whom, by the handlers' own record, and what acted under a fence that was not the newest.

An attempt runs from its start until it ends, is cut off, or its process dies. Another one of the same execution, or of the task
where overlap forbids it, may start meanwhile only if the older one was superseded: by the store it had ended when the newer
one was claimed, its fence is lower, and its process stood still. Then it is a zombie, and over soon after its thaw.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

import attrs

from .history import Line
from .trial import Case, Key, Trial
from .verdict import Kind

OVER: Final = frozenset({"end", "cut"})
ACTS: Final = frozenset({"effect", "trying", "kept", "end"})
"""What an attempt does that somebody could see."""

Scope = tuple[str | None, ...]


def check_overlaps(case: Case, trial: Trial) -> None:
    """All checks of what ran at once within one task."""
    if trial.task.records and trial.starts:
        _Watch(case, trial).run()


def events(lines: Sequence[Line], deaths: Iterable[tuple[int, str]]) -> Iterator[Line]:
    """The lines, with the deaths of processes between them as lines of the kind `dead`, after what they wrote at that instant."""
    dead = [Line("dead", process, "", "", 0, 0, at) for at, process in deaths]
    return iter(sorted([*lines, *dead], key=lambda line: line.at))


@attrs.define
class _Watch:
    """Goes through one task's lines in order."""

    case: Case
    trial: Trial
    running: dict[Key, Line] = attrs.field(factory=dict)
    newest: dict[Scope, Line] = attrs.field(factory=dict)
    newest_of: dict[str, Line] = attrs.field(factory=dict)
    zombies: dict[Key, int] = attrs.field(factory=dict)
    reported: set[Key] = attrs.field(factory=set)
    begun: set[Key] = attrs.field(factory=set)

    def run(self) -> None:
        for line in events(self.trial.lines, self.case.faults.deaths()):
            if line.kind == "dead":
                self.running = {key: one for key, one in self.running.items() if one.process != line.process}
                continue
            self._acts(line)
            if line.kind in OVER:
                self.running.pop(_key(line), None)
            elif line.kind == "start":
                self._starts(line)
        self._never_back()

    def _starts(self, line: Line) -> None:
        if _key(line) in self.begun:
            return  # that it starts twice is seen by who looks at starts
        self.begun.add(_key(line))
        scope = self._scope(line)
        stale = [one for other, one in self.newest.items() if _meet(scope, other) and line.fence <= one.fence]
        if stale:
            self._together(line, max(stale, key=lambda one: one.fence))
        else:
            self.newest[scope] = line
            for key, other in self.running.items():
                if key not in self.zombies and key not in self.reported and _meet(self._scope(other), scope):
                    self._together(other, line)
            former = self.newest_of.get(line.execution)
            if former is None or former.fence < line.fence:
                self.newest_of[line.execution] = line
        self.running[_key(line)] = line

    def _scope(self, line: Line) -> Scope:
        task = self.trial.task
        # For which node an execution was is gone with it.
        may_be_gone = task.deleted or self.case.purged_after(line.at, task)
        is_gone = line.execution not in self.trial.executions and may_be_gone
        if task.overlap == "allow" or (task.everywhere and is_gone):
            return ("execution", line.execution)
        return ("target", self.trial.target_of(line))

    def _together(self, older: Line, newer: Line) -> None:
        """Two run at once: the older one is a zombie, by proof, or this is a violation."""
        text = (
            f"attempt {older.attempt} of {older.execution} (fence {older.fence}, {older.process}, {older.at}) with attempt "
            f"{newer.attempt} of {newer.execution} (fence {newer.fence}, {newer.process}, {newer.at})"
        )
        is_start = older.at >= newer.at
        at = max(older.at, newer.at)
        add = partial(self.case.found.add, task=self.trial.name, at=at)
        thaw = self.case.faults.thaw(older.process, at)
        objection = superseded(self.case, self.trial, older, self.trial, newer)
        if objection is not None:
            add(Kind.OVERLAP, text=f"{text}: {objection}")
            self.reported.add(_key(older))
        elif thaw is None:
            kind = Kind.ZOMBIE_EFFECT if is_start else Kind.OVERLAP
            add(kind, text=f"{text}: the older one is not valid any more, and its process had not been stopped")
            self.reported.add(_key(older))
        else:
            self.case.found.excuse(Kind.OVERLAP, self.trial.name, at, f"{text}: stopped until {thaw}")
            self.zombies[_key(older)] = thaw

    def _acts(self, line: Line) -> None:
        """What is done under a fence that is not the newest one."""
        key = _key(line)
        what = f"{line.kind} of attempt {line.attempt} of {line.execution} (fence {line.fence}, {line.process})"
        add = partial(self.case.found.add, Kind.ZOMBIE_EFFECT, self.trial.name, line.at)
        if key in self.zombies:
            late = line.at - self.zombies[key]
            if late > self.case.bounds.zombie:
                add(f"{what}: {late / 1e6:.1f} s after its thaw")
            elif line.kind in ACTS:
                text = f"{what}: {late / 1e6:.3f} s after its thaw"
                self.case.found.excuse(Kind.ZOMBIE_EFFECT, self.trial.name, line.at, text)
            return
        newer = self.newest_of.get(line.execution)
        if newer is None or line.fence >= newer.fence or line.kind not in ACTS:
            return
        if key in self.reported and line.kind != "effect":
            return
        if self.case.faults.thaw(line.process, line.at) is None:
            add(f"{what}, after fence {newer.fence} had started at {newer.at}")
        else:
            self.case.found.excuse(Kind.ZOMBIE_EFFECT, self.trial.name, line.at, f"{what}: its process was stopped")

    def _never_back(self) -> None:
        for key, thaw in self.zombies.items():
            line = self.running.get(key)
            if line is not None and self.case.history.ended_at > thaw + self.case.bounds.zombie:
                text = f"attempt {line.attempt} of {line.execution} still runs, its thaw was at {thaw}"
                self.case.found.add(Kind.ZOMBIE_EFFECT, self.trial.name, line.at, text)


def _key(line: Line) -> Key:
    return line.execution, line.attempt


def _meet(one: Scope, other: Scope) -> bool:
    """Whether two scopes exclude each other: what is for no certain node may be on any."""
    return one == other or (one[0] == other[0] == "target" and None in (one[1], other[1]))


def superseded(case: Case, trial: Trial, older: Line, of_newer: Trial, newer: Line) -> str | None:
    """What stands against the older attempt's having been superseded when the newer one was claimed; None if nothing does."""
    if trial is of_newer and older.fence >= newer.fence:
        return "its fence is not lower"
    former, later = trial.attempts.get(_key(older)), of_newer.attempts.get(_key(newer))
    if former is None or later is None:
        gone = trial.task.deleted or of_newer.task.deleted or case.purged_after(newer.at)
        return None if gone else "one of them is not in the store"
    if former.ended_at is None or later.started_at is None or former.ended_at > later.started_at + 2 * case.bounds.skew:
        return "both are valid"
    return None


# -- concurrency keys


def check_keys(case: Case) -> None:
    """No attempt is claimed that makes the holders of its concurrency key more than its task's limit for it."""
    held: dict[str, list[Trial]] = defaultdict(list)
    for trial in case.trials:
        if trial.task.key is not None and trial.task.records:
            held[trial.task.key[0]].append(trial)
    for key, trials in held.items():
        _check_key(case, key, trials)


def _check_key(case: Case, key: str, trials: Sequence[Trial]) -> None:
    of = {line.execution: trial for trial in trials for line in trial.starts}
    limits = {trial.task.id: trial.task.key[1] for trial in trials if trial.task.key is not None}
    running: dict[Key, Line] = {}
    # Of two lines at one instant the record's order tells which came first.
    theirs = {id(line) for trial in trials for line in trial.lines}
    for line in events([line for line in case.lines if id(line) in theirs], case.faults.deaths()):
        if line.kind == "dead":
            running = {which: one for which, one in running.items() if one.process != line.process}
        elif line.kind in OVER:
            running.pop(_key(line), None)
        elif line.kind == "start" and not _is_stale(case, of[line.execution], line):
            running[_key(line)] = line
            valid = [one for one in running.values() if not _is_over(case, of, one, line)]
            # The one that was claimed last was one too many; it may have been one of several, on clocks apart, and as it takes
            # time from a claim to its place in the store.
            claims = {one.execution: _claimed(of[one.execution], one) for one in valid}
            last = max(claims.values()) - 2 * case.bounds.skew - case.bounds.telling
            limit = max(limits[of[one].task.id] for one, at in claims.items() if at >= last)
            if len(valid) > limit:
                shown = ", ".join(f"{one.execution} ({of[one.execution].name})" for one in valid)
                text = f"{len(valid)} hold the key {key}, {limit} may: {shown}"
                case.found.add(Kind.OVERLAP, of[line.execution].name, line.at, text)


def _claimed(trial: Trial, line: Line) -> int:
    """When an attempt was claimed, by the store; when it started, where the store does not say."""
    attempt = trial.attempts.get(_key(line))
    return line.at if attempt is None or attempt.started_at is None else attempt.started_at


def _is_stale(case: Case, trial: Trial, line: Line) -> bool:
    """Whether an attempt had ended by the store before its process, which stood still, began with it."""
    attempt = trial.attempts.get(_key(line))
    over = attempt is not None and attempt.ended_at is not None and attempt.ended_at < line.at
    return over and case.faults.thaw(line.process, line.at) is not None


def _is_over(case: Case, of: dict[str, Trial], older: Line, newer: Line) -> bool:
    """Whether the older attempt had been superseded when the newer one was claimed, and its process stood still."""
    if older is newer or case.faults.thaw(older.process, newer.at) is None:
        return False
    return superseded(case, of[older.execution], older, of[newer.execution], newer) is None
