"""APScheduler 4: schedules for one date, a hundred jobs at once, in SQLite (aiosqlite) or PostgreSQL (asyncpg)."""

import asyncio
import logging
import time
from datetime import UTC, datetime

import asyncpg
import fires_apscheduler4
import harness
from apscheduler import AsyncScheduler
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from apscheduler.triggers.date import DateTrigger

STARTS = []


async def job(number):
    STARTS.append((time.monotonic(), number))


def store():
    if harness.OPTIONS["store"] == "postgres":
        return SQLAlchemyDataStore(harness.OPTIONS["dsn"].replace("postgresql:", "postgresql+asyncpg:"))
    return SQLAlchemyDataStore(f"sqlite+aiosqlite:///{harness.OPTIONS['directory']}/jobs.db")


async def analyze():
    connection = await asyncpg.connect(harness.OPTIONS["dsn"])
    await connection.execute("ANALYZE")
    await connection.close()


async def fire():
    count, starts = harness.OPTIONS["count"], fires_apscheduler4.STARTS
    async with AsyncScheduler(store()) as scheduler:
        await scheduler.configure_task("job", func=fires_apscheduler4.job, max_running_jobs=100)
        now = datetime.now(UTC)
        for number in range(count):
            await scheduler.add_schedule("job", DateTrigger(now), id=str(number), args=(number,))
        if harness.OPTIONS["store"] == "postgres":
            await analyze()
        used = time.process_time()
        await scheduler.start_in_background()
        async with asyncio.timeout(harness.WORK_SECONDS):
            while len(starts) < count or await scheduler.get_jobs():  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(harness.POLL_SECONDS)
        ended, cpu = time.monotonic(), time.process_time() - used
        await scheduler.stop()
    return harness.fired(starts, ended, cpu)


def measure():
    logging.disable(logging.CRITICAL)
    return asyncio.run(fire())


if __name__ == "__main__":
    harness.main(measure)
