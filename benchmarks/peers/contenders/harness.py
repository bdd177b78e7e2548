"""What contenders share, from the standard library alone: it runs in the environment of every peer."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

OPTIONS = json.loads(os.environ["CONTENDER_OPTIONS"])
"""Of this contender, in its own process and in its workers: `count`, an empty `directory`, and what the table says."""

LEAD_SECONDS = 3
"""From now to the first nominal time of lateness."""

START_SECONDS = 60
WORK_SECONDS = 600
POLL_SECONDS = 0.002


def main(measure):
    """Print what the contender measures."""
    print(json.dumps(measure()))


def outcome(figures, expected, done, cpu=0.0, doubled=0):
    """What a contender prints. done and doubled: what was seen of the work; cpu: seconds for all of it."""
    return {"figures": figures, "expected": expected, "done": done, "doubled": doubled, "cpu_us": cpu / expected * 1e6}


def rate(count, seconds):
    """The figure of all workloads that are about throughput."""
    return {"per second": count / seconds}


def fired(starts, ended, cpu):
    """The outcome of jobs. starts: (time, number) of each start; ended: when the last outcome was stored."""
    count = OPTIONS["count"]
    numbers = {number for _, number in starts}
    began = min(moment for moment, _ in starts)
    return outcome(rate(count, ended - began), count, len(numbers), cpu, len(starts) - len(numbers))


def late(lateness, cpu):
    """The outcome of starts after their nominal times, in seconds: one for each task in each second."""
    ordered, expected = sorted(lateness), OPTIONS["tasks"] * OPTIONS["count"]
    p99 = ordered[int(len(ordered) * 0.99)]
    return outcome({"p50 ms": median(ordered) * 1e3, "p99 ms": p99 * 1e3}, expected, len(lateness), cpu)


def phase(number):
    """Which part of a second a task is behind the first one."""
    return number / OPTIONS["tasks"] if OPTIONS["spread"] else 0.0


def messages(seconds, ask_seconds, told, asked, cpu):
    """The outcome of messages that were numbers from 0 on: told is their sum, asked that of the answers, one more each."""
    tells = OPTIONS["count"]
    asks = tells // 20
    right = told == sum(range(tells)) and asked == sum(range(asks)) + asks
    figures = {"tells/s": tells / seconds, "ask us, p50": ask_seconds * 1e6}
    return outcome(figures, tells, tells if right else 0, cpu)


def wait_until(there, seconds, what):
    """Poll until it is there."""
    deadline = time.monotonic() + seconds
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(POLL_SECONDS)


# -- jobs in processes of their own


class Jobs:
    """Where workers note the start of each job: 12 bytes appended to one file, which takes a microsecond or two."""

    RECORD = struct.Struct("<dI")

    def __init__(self):
        self.path = Path(OPTIONS["directory"]) / "jobs"
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, number):
        """To be called by the job."""
        os.write(self._file, self.RECORD.pack(time.monotonic(), number))

    def number(self):
        """How many have started."""
        return self.path.stat().st_size // self.RECORD.size

    def starts(self):
        """(time, number) of each."""
        return list(self.RECORD.iter_unpack(self.path.read_bytes()))


def work_off(commands, stored, begin=lambda: None):
    """Start workers on jobs that are in the queue and measure until `stored()`, which is first asked when all have started.

    begin: lets workers begin that wait for it.
    """
    count, jobs = OPTIONS["count"], Jobs()
    with running(commands):
        begin()
        wait_until(jobs.number, START_SECONDS, "the first job")
        used = workers_cpu()
        wait_until(lambda: jobs.number() >= count, WORK_SECONDS, f"the start of {count} jobs")
        wait_until(stored, WORK_SECONDS, f"the outcomes of {count} jobs")
        ended = time.monotonic()
        cpu = workers_cpu() - used
    return fired(jobs.starts(), ended, cpu)


@contextmanager
def running(commands):
    """Worker processes while the block runs."""
    workers = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr) for command in commands]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            try:
                worker.wait(10)
            except subprocess.TimeoutExpired:
                worker.kill()


def workers_cpu():
    """Seconds of CPU that the processes of this session have used, except this one: a contender leads a session."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == os.getsid(0) and stat.parent.name != str(os.getpid()):
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
