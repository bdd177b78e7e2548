"""The checker: was every promise kept in this run? From a history to a verdict, without a clock and without the scheduler's code.

Each nominal time has one outcome (`slots`), what waits does so for a reason and in its turn (`waiting`), what is said to have
run has (`starts`), attempts follow one another for a reason (`attempts`), none runs beside another that excludes it (`overlaps`),
what was not run has a reason (`skips`), what was asked for holds (`asked`), and everything has one owner (`ownership`). What
would be wrong without a fault that somebody wrote down is excused only with that proof, and counted.
"""

from __future__ import annotations

from collections import Counter

from .asked import check_asked, check_requests, check_scheduler_pauses
from .attempts import check_attempts
from .fencing import check_fencing
from .history import History
from .overlaps import check_keys, check_overlaps
from .ownership import check_drains, check_owners, check_writes, takeovers
from .skips import check_skips
from .slots import check_ledger
from .starts import check_starts, check_strangers, first_starts
from .trial import Case
from .verdict import Statistics, Verdict

_CHECKS = (check_ledger, check_attempts, check_starts, check_overlaps, check_skips, check_asked)


def check(history: History) -> Verdict:
    """Judge a run. The violations are in order of time, those that are about no instant first."""
    case = Case(history)
    for trial in case.trials:
        for one in _CHECKS:
            one(case, trial)
    check_strangers(case)
    check_keys(case)
    check_requests(case)
    check_scheduler_pauses(case)
    check_owners(case)
    check_writes(case)
    check_drains(case)
    check_fencing(case)
    found = sorted(case.found.violations, key=lambda one: (one.at is not None, one.at or 0, one.task, one.kind))
    return Verdict(tuple(found), tuple(case.found.excused), _statistics(case))


def _statistics(case: Case) -> Statistics:
    attempts = [attempt for trial in case.trials for attempt in trial.attempts.values()]
    starts = [line for trial in case.trials for line in trial.starts]
    outcomes: Counter[str] = Counter()
    for trial in case.trials:
        for row in trial.rows:
            name = row.outcome or "open"
            outcomes[f"{name} ({row.reason})" if row.reason else name] += row.count or 0
    begun = min((trial.task.created_at for trial in case.trials if trial.task.revisions), default=case.history.ended_at)
    return Statistics(
        tasks=len(case.trials),
        due=sum(len(trial.expected or ()) for trial in case.trials),
        starts=len(starts),
        attempts=len(attempts),
        crashed=sum(attempt.state == "CRASHED" for attempt in attempts),
        resumed=sum(line.position is not None for line in starts),
        retries=sum(line.attempt > 1 for line in starts),
        seconds=(case.history.ended_at - begun) / 1_000_000,
        takeovers=takeovers(case),
        outcomes=dict(outcomes.most_common()),
        requests=dict(Counter(f"{one.verb} {one.answer}" for one in case.history.requests).most_common()),
        lateness=sorted(
            line.at - line.nominal
            for trial in case.trials
            for line in first_starts(trial).values()
            if line.nominal is not None
        ),
    )
