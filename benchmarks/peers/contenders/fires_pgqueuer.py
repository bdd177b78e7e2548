"""pgqueuer on asyncpg and uvloop: workers in processes of their own that begin together, with batches of so many jobs.

They are run through its API, because its command line (1.6.0) does not start with the current typer.
"""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import harness
import uvloop
from pgqueuer import AsyncpgDriver, PgQueuer, Queries

CALL = 1_000
"""Jobs enqueued with one call."""

DIRECTORY = Path(harness.OPTIONS["directory"])
WORKERS = harness.OPTIONS["workers"]


async def work():
    jobs = harness.Jobs()
    worker = PgQueuer(AsyncpgDriver(await asyncpg.connect(harness.OPTIONS["dsn"])))

    @worker.entrypoint("job")
    async def job(found):
        jobs.note(int(found.payload))

    (DIRECTORY / f"ready-{os.getpid()}").touch()
    harness.wait_until((DIRECTORY / "begin").exists, harness.START_SECONDS, "the word to begin")
    await worker.run(batch_size=harness.OPTIONS["batch"], dequeue_timeout=timedelta(seconds=30))


def begin():
    ready = lambda: len(list(DIRECTORY.glob("ready-*"))) == WORKERS  # noqa: E731
    harness.wait_until(ready, harness.START_SECONDS, f"{WORKERS} workers")
    (DIRECTORY / "begin").touch()


async def fill():
    connection = await asyncpg.connect(harness.OPTIONS["dsn"])
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    for first in range(0, harness.OPTIONS["count"], CALL):
        numbers = range(first, min(first + CALL, harness.OPTIONS["count"]))
        await queries.enqueue(["job"] * len(numbers), [str(number).encode() for number in numbers], [0] * len(numbers))
    await connection.execute("ANALYZE")
    return connection


def measure(runner):
    connection = runner.run(fill())

    def ask(sql):
        return runner.run(connection.fetchval(sql))

    commands = [[sys.executable, __file__, "worker"]] * WORKERS
    result = harness.work_off(commands, lambda: not ask("SELECT EXISTS (SELECT FROM pgqueuer)"), begin)
    logged = ask("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'")
    return result | {"done": min(result["done"], logged)}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        if sys.argv[1:] == ["worker"]:
            loop.run(work())
        else:
            harness.main(lambda: measure(loop))
