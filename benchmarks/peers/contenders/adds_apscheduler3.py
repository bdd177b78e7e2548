"""APScheduler 3: `add_job` with an interval, in SQLite through SQLAlchemy; it commits for each."""

import time
from datetime import UTC

import adds_apscheduler3
import harness
from apscheduler.schedulers.background import BackgroundScheduler

COUNT = harness.OPTIONS["count"]


def job(number):
    """Never due here."""


def measure():
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_jobstore("sqlalchemy", url=f"sqlite:///{harness.OPTIONS['directory']}/jobs.db")
    scheduler.start(paused=True)
    began, used = time.monotonic(), time.process_time()
    for number in range(COUNT):
        scheduler.add_job(adds_apscheduler3.job, "interval", hours=1, name=f"task {number}", args=(number,))
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    done = len(scheduler.get_jobs())
    scheduler.shutdown()
    return harness.outcome(harness.rate(COUNT, seconds), COUNT, done, cpu)


if __name__ == "__main__":
    harness.main(measure)
