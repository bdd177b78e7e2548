"""APScheduler 3: jobs for one date, ten threads as it is by default, in memory or in SQLite through SQLAlchemy."""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path

import fires_apscheduler3
import harness
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler

STARTS = []


def job(number):
    STARTS.append((time.monotonic(), number))


def store():
    if harness.OPTIONS["store"] == "memory":
        return MemoryJobStore()
    return SQLAlchemyJobStore(url=f"sqlite:///{Path(harness.OPTIONS['directory']) / 'jobs.db'}")


def measure():
    logging.disable(logging.CRITICAL)
    count, starts = harness.OPTIONS["count"], fires_apscheduler3.STARTS
    scheduler = BackgroundScheduler(timezone=UTC, jobstores={"default": store()})
    scheduler.start(paused=True)
    now = datetime.now(UTC)
    for number in range(count):
        scheduler.add_job(fires_apscheduler3.job, "date", run_date=now, args=(number,), misfire_grace_time=None)
    used = time.process_time()
    scheduler.resume()
    harness.wait_until(lambda: len(starts) >= count, harness.WORK_SECONDS, "the start of all jobs")
    harness.wait_until(lambda: not scheduler.get_jobs(), harness.WORK_SECONDS, "an empty job store")
    ended, cpu = time.monotonic(), time.process_time() - used
    scheduler.shutdown()
    return harness.fired(starts, ended, cpu)


if __name__ == "__main__":
    harness.main(measure)
