"""What the contenders of the workload `cron` walk: expressions that all of them read in the same way, in zones with a past."""

import time
from datetime import UTC, datetime

import harness

EXPRESSIONS = ("0 12 * * *", "30 4 * * mon-fri", "*/5 * * * *", "0 0 1 * *", "15,45 8-18 * * mon-fri")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def walk(prepare):
    """prepare(expression, zone): a function that answers the next fire as a number that grows, called again and again."""
    count = harness.OPTIONS["count"]
    walkers = [prepare(expression, zone) for expression in EXPRESSIONS for zone in ZONES]
    took = done = 0
    for step in walkers:
        began = time.process_time()
        moments = [step() for _ in range(count)]
        took += time.process_time() - began
        done += len({moment for moment in moments if moment is not None}) if moments == sorted(moments) else 0
    expected = count * len(walkers)
    return harness.outcome({"us": took / expected * 1e6}, expected, done, took)
