"""Procrastinate: one worker process with ten jobs at once; the jobs are deferred before it starts."""

import asyncio
import sys

import harness
import procrastinate
import psycopg

CALL = 1_000
"""Jobs deferred with one call."""

COUNT = harness.OPTIONS["count"]
LEFT = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status <> 'succeeded')"
WORKER = "--app=fires_procrastinate.app worker --concurrency=10"

JOBS = harness.Jobs()

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=harness.OPTIONS["dsn"]))


@app.task(name="job")
async def job(number):
    JOBS.note(number)


async def fill():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for first in range(0, COUNT, CALL):
            numbers = range(first, min(first + CALL, COUNT))
            await job.batch_defer_async(*({"number": number} for number in numbers))


def measure():
    asyncio.run(fill())
    command = [sys.executable, "-m", "procrastinate", *WORKER.split()]
    with psycopg.connect(harness.OPTIONS["dsn"], autocommit=True) as connection:
        connection.execute("ANALYZE")
        return harness.work_off([command], lambda: not connection.execute(LEFT).fetchone()[0])


if __name__ == "__main__":
    harness.main(measure)
