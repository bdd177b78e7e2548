"""APScheduler 4: one-second intervals in memory, a thousand jobs at once."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta

import harness
import lateness_apscheduler4
from apscheduler import AsyncScheduler, current_job
from apscheduler.triggers.interval import IntervalTrigger

TASKS, SECONDS = harness.OPTIONS["tasks"], harness.OPTIONS["count"]
LATE = []


async def job():
    LATE.append(time.time() - current_job.get().scheduled_fire_time.timestamp())


async def measure():
    async with AsyncScheduler(max_concurrent_jobs=TASKS) as scheduler:
        await scheduler.configure_task("job", func=lateness_apscheduler4.job, max_running_jobs=TASKS)
        first = datetime.now(UTC) + timedelta(seconds=harness.LEAD_SECONDS)
        for number in range(TASKS):
            start = first + timedelta(seconds=harness.phase(number))
            trigger = IntervalTrigger(seconds=1, start_time=start, end_time=start + timedelta(seconds=SECONDS - 0.5))
            await scheduler.add_schedule("job", trigger, id=str(number))
        used = time.process_time()
        await scheduler.start_in_background()
        await asyncio.sleep(harness.LEAD_SECONDS + SECONDS + 2.0)
        cpu = time.process_time() - used
        await scheduler.stop()
    return harness.late(lateness_apscheduler4.LATE, cpu)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    harness.main(lambda: asyncio.run(measure()))
