"""Celery: two prefork processes, Redis as broker and for results; the jobs are in the queue before the worker starts."""

import sys

import harness
import redis
from celery import Celery

WORKER = "worker --pool prefork --concurrency 2 --loglevel ERROR --without-gossip --without-mingle --without-heartbeat"

URL = harness.OPTIONS["redis"]
JOBS = harness.Jobs()

app = Celery("peers", broker=f"{URL}/1", backend=f"{URL}/2")
app.conf.update(broker_connection_retry_on_startup=True, worker_send_task_events=False, timezone="UTC")


@app.task(name="job")
def job(number):
    JOBS.note(number)
    return number


def measure():
    count, results = harness.OPTIONS["count"], redis.Redis.from_url(f"{URL}/2")
    for number in range(count):
        job.delay(number)
    command = [sys.executable, "-m", "celery", "--app", "fires_celery", *WORKER.split()]
    return harness.work_off([command], lambda: results.dbsize() >= count)


if __name__ == "__main__":
    harness.main(measure)
