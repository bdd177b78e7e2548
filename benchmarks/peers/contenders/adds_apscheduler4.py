"""APScheduler 4: `add_schedule` with an interval, in SQLite (aiosqlite)."""

import asyncio
import logging
import time

import adds_apscheduler4
import harness
from apscheduler import AsyncScheduler
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from apscheduler.triggers.interval import IntervalTrigger

COUNT = harness.OPTIONS["count"]


async def job(number):
    """Never due here."""


async def add():
    store = SQLAlchemyDataStore(f"sqlite+aiosqlite:///{harness.OPTIONS['directory']}/jobs.db")
    async with AsyncScheduler(store) as scheduler:
        await scheduler.configure_task("job", func=adds_apscheduler4.job)
        began, used = time.monotonic(), time.process_time()
        for number in range(COUNT):
            trigger = IntervalTrigger(hours=1)
            await scheduler.add_schedule("job", trigger, id=f"task {number}", args=(number,))
        seconds, cpu = time.monotonic() - began, time.process_time() - used
        done = len(await scheduler.get_schedules())
    return harness.outcome(harness.rate(COUNT, seconds), COUNT, done, cpu)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    harness.main(lambda: asyncio.run(add()))
