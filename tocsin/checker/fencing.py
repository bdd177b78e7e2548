"""Who cannot know that it still counts as alive ends what it runs, before anybody may give that to another.

By the clock of its own process: a renewal of the lease that was granted is good for two thirds of the lease from then on. What a
handler does later than that, the store may already have as crashed: nothing that a database refuses keeps it from the outside.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from itertools import accumulate

from .trial import Case
from .verdict import Kind


def check_fencing(case: Case) -> None:
    """Nothing is done by a handler whose process has no lease that it may count on, but for what comes with its thaw."""
    granted: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for lease in case.history.leases:
        granted[lease.process].append((lease.at, lease.until))
    trusted = {
        process: (times := sorted(leases), list(accumulate((until for _, until in times), max)))
        for process, leases in granted.items()
    }
    names = {trial.task.id: trial.name for trial in case.trials}
    for line in case.history.lines:
        if line.kind == "cut" or line.process not in trusted:
            continue
        leases, until = trusted[line.process]
        number = bisect_right(leases, line.at, key=lambda one: one[0])
        horizon = until[number - 1] if number else 0
        if line.at <= horizon + case.bounds.fencing or case.faults.thaw(line.process, line.at) is not None:
            continue
        text = f"{line.kind} in {line.process}, which could count on its lease until {horizon}"
        case.found.add(Kind.UNFENCED, names.get(line.task, ""), line.at, text)
