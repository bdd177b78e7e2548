"""APScheduler 3: a CronTrigger, asked for the fire after the previous one."""

from zoneinfo import ZoneInfo

import crons
import harness
from apscheduler.triggers.cron import CronTrigger


def prepare(expression, zone):
    trigger = CronTrigger.from_crontab(expression, timezone=ZoneInfo(zone))
    previous, now = None, crons.START

    def step():
        nonlocal previous, now
        previous = now = trigger.get_next_fire_time(previous, now)
        return previous

    return step


if __name__ == "__main__":
    harness.main(lambda: crons.walk(prepare))
