"""`tocsin rehearse --self`: our own seeds, in as many processes as there are cores, each seed with a deadline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from runtime.errors import InvalidRequest

from ..rehearsal.figures import FAILED_SHOWN, Figures, failure
from ..rehearsal.outcome import Outcome, again, read
from ..rehearsal.plan import Plan
from ..rehearsal.plan_text import NotAPlan, write
from ..rehearsal.plan_text import read as read_plan
from ..rehearsal.regression import file_name, source
from ..rehearsal.shrink import BUDGET, Shrinking
from ..rehearsal.swarm import SIZES, draw
from .output import print_json, printable

FAILED_EXIT: Final = 25
"""Exit code of a rehearsal in which something was not as promised."""

DEADLINE_SECONDS: Final = 900.0
"""Real seconds for one seed: many times what one takes on a slow machine. It is against hanging."""

GRACE_SECONDS: Final = 10.0
"""After its deadline a worker ends by itself and says where it was; one that does not even do that is killed."""

ERRORS_KEPT: Final = 20_000
"""Characters of a worker's error stream, the last ones."""

Show = Callable[[Outcome], None]


@attrs.frozen
class Shrink:
    """What is done with the plans of failed seeds. directory: for their tests; None: they are printed. tries: None: as many as
    usual."""

    directory: Path | None = None
    tries: int | None = None


@attrs.frozen
class Asked:
    """What is to be carried out. size: one of `SIZES`. twice: each again, in a process with other hashes. deadline: real seconds
    for each time."""

    seeds: Sequence[int] = ()
    size: str = "full"
    plan: Plan | None = None
    jobs: int = 1
    twice: bool = False
    deadline: float = DEADLINE_SECONDS

    def lines(self) -> list[dict[str, Any]]:
        """For workers."""
        if self.plan is not None:
            return [{"plan": write(self.plan), "seed": self.plan.seed, "deadline": self.deadline}]
        return [{"seed": seed, "size": self.size, "deadline": self.deadline} for seed in self.seeds]

    def plan_of(self, seed: int) -> Plan:
        """What was carried out under a seed."""
        return self.plan if self.plan is not None else draw(seed, SIZES[self.size])


def plan_in(file: Path) -> Plan:
    """The plan that a file holds, alone or as the value of a name `PLAN`."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file}: {error}") from None
    _, assigned, behind = f"\n{text}".partition("\nPLAN = ")
    text = behind.partition("\n\n")[0] if assigned else text
    try:
        return read_plan(text)
    except NotAPlan as error:
        raise InvalidRequest(f"{file} holds no plan: {error}") from None


class Worker:
    """One process after the other: one that has crashed is replaced. hashes: its PYTHONHASHSEED."""

    def __init__(self, nursery: trio.Nursery, hashes: int) -> None:
        self._nursery = nursery
        self._hashes = hashes
        self._process: trio.Process | None = None
        self._errors = ""
        self._drained = trio.Event()

    async def ask(self, line: dict[str, Any]) -> Outcome:
        """Have a seed carried out."""
        process = self._process or await self._begin()
        answer = b""
        with trio.move_on_after(line["deadline"] + GRACE_SECONDS):
            try:
                assert process.stdin is not None and process.stdout is not None
                await process.stdin.send_all(json.dumps(line).encode() + b"\n")
                while not answer.endswith(b"\n") and (more := await process.stdout.receive_some()):
                    answer += more
            except trio.BrokenResourceError:
                pass
        if answer.endswith(b"\n"):
            return read(json.loads(answer))
        code = await self._end()
        return Outcome(
            line["seed"], error=f"{self._errors.strip()}\nthe process ended with {code} before it had an answer"
        )

    async def _begin(self) -> trio.Process:
        environment = os.environ | {"PYTHONHASHSEED": str(self._hashes)}
        self._process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "tocsin.cli.seed_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            # Ctrl-C is for whoever started them: it ends them.
            start_new_session=True,
        )
        self._errors, self._drained = "", trio.Event()
        self._nursery.start_soon(self._drain, self._process, self._drained)
        return self._process

    async def _drain(self, process: trio.Process, drained: trio.Event) -> None:
        assert process.stderr is not None
        try:
            async for text in process.stderr:
                self._errors = (self._errors + text.decode(errors="replace"))[-ERRORS_KEPT:]
        finally:
            drained.set()

    async def _end(self) -> int:
        """One that may have ended by itself. Answers its exit code; negative: the signal."""
        assert self._process is not None
        with trio.move_on_after(1.0):
            await self._process.wait()
        return await self.close()

    async def close(self) -> int:
        """It is not needed any more. Answers its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.kill()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(GRACE_SECONDS):
                await self._drained.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    await stream.aclose()
            await process.wait()
        return process.returncode or 0


@asynccontextmanager
async def _workers(number: int) -> AsyncIterator[list[Worker]]:
    async with trio.open_nursery() as nursery:
        workers = [Worker(nursery, hashes) for hashes in range(1, number + 1)]
        try:
            yield workers
        finally:
            for worker in workers:
                await worker.close()


async def _carry_out(asked: Asked, show: Show) -> list[Outcome]:
    lines, done = asked.lines(), {}
    waiting = iter(enumerate(lines))
    times = 2 if asked.twice else 1

    async def work(workers: Sequence[Worker]) -> None:
        for number, line in waiting:
            done[number] = await workers[0].ask(line)
            if asked.twice and not done[number].error:
                done[number] = again(done[number], await workers[1].ask(line))
            show(done[number])

    jobs = min(asked.jobs, len(lines))
    async with _workers(jobs * times) as workers, trio.open_nursery() as nursery:
        for number in range(jobs):
            nursery.start_soon(work, workers[number * times : number * times + times])
    return [done[number] for number in sorted(done)]


def carry_out(asked: Asked, show: Show) -> Figures:
    """All of it. `show` hears of each seed that is over."""
    return Figures(trio.run(_carry_out, asked, show), asked.twice)


@contextmanager
def progress(total: int, as_json: bool) -> Iterator[Show]:
    """A bar on the error stream, where that is a terminal, and otherwise a line for each seed that fails."""
    if as_json or not sys.stderr.isatty():
        yield _told
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar, failed = shown.add_task("seeds", total=total), [0]

        def show(outcome: Outcome) -> None:
            failed[0] += not outcome.is_good
            shown.update(bar, advance=1, description=f"seeds, {failed[0]} failed" if failed[0] else "seeds")

        yield show


def _told(outcome: Outcome) -> None:
    if not outcome.is_good:
        print(f"seed {outcome.seed} failed: {verdict_of(outcome)}", file=sys.stderr, flush=True)


def verdict_of(one: Outcome) -> str:
    """What a seed failed by, in a word."""
    if one.error:
        return "error"
    return next(iter(one.kinds)) if one.kinds else "not deterministic"


def shorter(one: Outcome, asked: Asked, budget: int, say: Callable[[str], None]) -> tuple[Plan, str]:
    """The shortest plan that fails in the way in which a seed did, and its test. Each try is a process with its deadline."""
    verdict, last = verdict_of(one), one

    def fails(plan: Plan) -> bool:
        nonlocal last
        found = carry_out(attrs.evolve(asked, plan=plan, jobs=1), lambda outcome: None).outcomes[0]
        if verdict_of(found) != verdict and verdict not in found.kinds:
            return False
        last = found
        return not found.is_good

    def said(plan: Plan) -> None:
        say(
            f"seed {one.seed}, {search.asked} tries: {len(plan.faults)} faults, {len(plan.jobs)} tasks, "
            f"{len(plan.calls)} requests, {plan.nodes} nodes, {plan.seconds:.0f} s"
        )

    search = Shrinking(fails, budget, said)
    plan = search.run(asked.plan_of(one.seed))
    return plan, source(plan, verdict, last.violations)


def keep(plan: Plan, test: str, one: Outcome, directory: Path) -> Path:
    """Write a test."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / file_name(plan, verdict_of(one))
        file.write_text(test, encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"{directory}: {error.strerror}") from None
    return file


def replay(one: Outcome, asked: Asked, file: Path | None) -> str:
    """The command that carries a seed out again."""
    if file is not None:
        return f"tocsin rehearse --self --plan {file}"
    size = "" if asked.size == "full" else f" --size {asked.size}"
    return f"tocsin rehearse --self --seed {one.seed}{size}"


def run(asked: Asked, file: Path | None, shrink: Shrink | None, all_marks: bool, as_json: bool) -> int:
    """The command. file: which the plan is from. all_marks: fail where a rare situation was not reached.

    Answers the exit code.
    """
    with progress(len(asked.lines()), as_json) as show:
        figures = carry_out(asked, show)
    missing = figures.missing if all_marks else []
    shown = figures.failed[:FAILED_SHOWN]
    if not as_json:
        print(printable(figures.report()))
        for one in shown:
            print(printable("\n" + failure(one, replay(one, asked, file))), flush=True)
    tests = [] if shrink is None else [_shrink(one, asked, shrink, as_json) for one in shown]
    if as_json:
        told = [one.as_json() | {"replay": replay(one, asked, file)} for one in shown]
        print_json(figures.as_json() | {"failures": told, "missing": missing, "tests": tests})
    elif missing:
        print(f"never reached: {', '.join(missing)}")
    return FAILED_EXIT if figures.failed or missing else 0


def _shrink(one: Outcome, asked: Asked, shrink: Shrink, as_json: bool) -> str:
    """Answers the file of a failed seed's test, or without a directory its text."""

    def say(text: str) -> None:
        if not as_json:
            print(text, file=sys.stderr, flush=True)

    plan, test = shorter(one, asked, BUDGET if shrink.tries is None else shrink.tries, say)
    told = test if shrink.directory is None else str(keep(plan, test, one, shrink.directory))
    if not as_json:
        print(told)
    return told
