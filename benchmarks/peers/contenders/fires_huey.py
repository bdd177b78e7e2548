"""huey: a consumer with two processes, queue and results in SQLite, with and without waiting for the disk."""

import sys
from pathlib import Path

import fires_huey
import harness
from huey import SqliteHuey

JOBS = harness.Jobs()

huey = SqliteHuey("peers", filename=f"{harness.OPTIONS['directory']}/huey.db", fsync=harness.OPTIONS["fsync"])


@huey.task()
def job(number):
    JOBS.note(number)
    return number


def measure():
    count = harness.OPTIONS["count"]
    for number in range(count):
        fires_huey.job(number)
    consumer = Path(sys.executable).parent / "huey_consumer"
    command = [str(consumer), "fires_huey.huey", "-w", "2", "-k", "process", "-q", "-n"]
    return harness.work_off([command], lambda: huey.result_count() >= count)


if __name__ == "__main__":
    harness.main(measure)
