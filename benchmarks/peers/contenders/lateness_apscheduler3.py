"""APScheduler 3: one-second intervals in memory, on its threads or on asyncio; lateness by the time of the event of each run."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta

import harness
import lateness_apscheduler3
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler

TASKS, SECONDS = harness.OPTIONS["tasks"], harness.OPTIONS["count"]
DURATION = harness.LEAD_SECONDS + SECONDS + 2.0


def job():
    return time.time()


async def async_job():
    return time.time()


def set_up(scheduler, function):
    """The list of what will be known of lateness."""
    late = []
    scheduler.add_listener(
        lambda event: late.append(event.retval - event.scheduled_run_time.timestamp()), EVENT_JOB_EXECUTED
    )
    scheduler.start(paused=True)
    first = datetime.now(UTC) + timedelta(seconds=harness.LEAD_SECONDS)
    for number in range(TASKS):
        start = first + timedelta(seconds=harness.phase(number))
        end = start + timedelta(seconds=SECONDS - 0.5)
        scheduler.add_job(function, "interval", seconds=1, start_date=start, end_date=end)
    scheduler.resume()
    return late


def on_threads():
    scheduler = BackgroundScheduler(timezone=UTC)
    late = set_up(scheduler, lateness_apscheduler3.job)
    used = time.process_time()
    time.sleep(DURATION)
    scheduler.shutdown()
    return harness.late(late, time.process_time() - used)


async def on_asyncio():
    scheduler = AsyncIOScheduler(timezone=UTC)
    late = set_up(scheduler, lateness_apscheduler3.async_job)
    used = time.process_time()
    await asyncio.sleep(DURATION)
    scheduler.shutdown()
    return harness.late(late, time.process_time() - used)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    harness.main(on_threads if harness.OPTIONS["threads"] else lambda: asyncio.run(on_asyncio()))
