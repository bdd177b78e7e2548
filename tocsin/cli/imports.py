"""`tocsin import`: schedules of other systems as files that `apply` reads, with both systems' fire times side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from .options import Flag
from .output import AS_JSON, LOCAL, print_json, printable, show_time
from .plans import Hyphen, read_text, write_text
from .progress import working

SHOWN: Final = 6
"""Differing times that are shown of one job; `--json` has the first thousand."""

Json = Annotated[bool, AS_JSON]
Utc = Annotated[bool, LOCAL]
Keep = Annotated[bool, Parameter(name="--as-there", negative=())]

imports = App(name="import", help="Schedules of other systems as files for `tocsin apply`, with the times compared.")


@imports.command
def crontab(
    file: Annotated[Path, Hyphen],
    /,
    *,
    timezone: str | None = None,
    system: Annotated[bool, Flag] = False,
    cron: Literal["cronie", "debian"] = "cronie",
    output: Path | None = None,
    after: str | None = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """A crontab of a user, or with --system one whose lines name a user.

    Parameters
    ----------
    file
        The crontab, or - for standard input: crontab -l | tocsin import crontab -
    timezone
        Of the machine that the crontab is from; that of this one if not said.
    system
        The lines name a user, as in /etc/crontab and /etc/cron.d.
    cron
        Which cron it was for: cronie goes by CRON_TZ, debian does not.
    output
        Where to write the definitions; standard output if not said.
    after
        The time from which the next 400 days are compared; now if not said.
    """
    from ..imports.crontab import read_crontab

    text, name = _text(file)
    reading = read_crontab(text, name, timezone=timezone or local_zone(), system=system, flavour=cron)
    _tell(reading, output, after, as_json, utc)


@imports.command
def kubernetes(
    file: Annotated[Path, Hyphen],
    /,
    *,
    timezone: str = "UTC",
    as_there: Keep = False,
    output: Path | None = None,
    after: str | None = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """CronJobs as YAML: kubectl get cronjobs -A -o yaml | tocsin import kubernetes -

    Parameters
    ----------
    file
        The YAML file, or - for standard input.
    timezone
        Of the controller, for CronJobs that name none; UTC if not said.
    as_there
        Do as Kubernetes does when clocks change, instead of running each time once.
    output
        Where to write the definitions; standard output if not said.
    after
        The time from which the next 400 days are compared; now if not said.
    """
    from ..imports.kubernetes import read_cronjobs

    text, name = _text(file)
    _tell(read_cronjobs(text, name, timezone=timezone, keep=as_there), output, after, as_json, utc)


@imports.command
def celery(
    file: Annotated[Path, Hyphen],
    /,
    *,
    timezone: str | None = None,
    output: Path | None = None,
    after: str | None = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """A schedule of Celery beat: the Python module that has it, which is read and not run, or a dump as JSON or YAML.

    Parameters
    ----------
    file
        The module (its name ends in .py), or a dump.
    timezone
        Of the app; what the file says if not said, else UTC.
    output
        Where to write the definitions; standard output if not said.
    after
        The time from which the next 400 days are compared; now if not said.
    """
    from ..imports.celery import read_beat

    text, name = _text(file)
    _tell(read_beat(text, name, timezone=timezone), output, after, as_json, utc)


@imports.command
def apscheduler(
    file: Annotated[Path, Hyphen],
    /,
    *,
    timezone: str = "UTC",
    as_there: Keep = False,
    output: Path | None = None,
    after: str | None = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Jobs of APScheduler 3: what `scheduler.print_jobs()` prints, or a JSON list of them.

    Parameters
    ----------
    file
        The file, or - for standard input.
    timezone
        Of the scheduler; UTC if not said.
    as_there
        Run times twice that come twice when clocks change, as APScheduler does.
    output
        Where to write the definitions; standard output if not said.
    after
        The time from which the next 400 days are compared; now if not said.
    """
    from ..imports.apscheduler import read_jobs

    text, name = _text(file)
    _tell(read_jobs(text, name, timezone=timezone, keep=as_there), output, after, as_json, utc)


def local_zone() -> str:
    """The IANA name of this machine's zone; UTC if it has none."""
    named = os.environ.get("TZ", "").lstrip(":")
    if "/" in named or named == "UTC":
        return named
    try:
        path = str(Path("/etc/localtime").resolve())
    except OSError:
        return "UTC"
    return path.partition("zoneinfo/")[2].removeprefix("posix/") or "UTC"


def _text(file: Path) -> tuple[str, str]:
    return (sys.stdin.read(), "-") if str(file) == "-" else (read_text(file), str(file))


def _tell(reading: Any, output: Path | None, after: str | None, as_json: bool, utc: bool) -> None:
    """Compare, write the definitions, and tell about each job."""
    from runtime.world import RealWorld

    from ..imports.report import report
    from ..vocabulary.fields import parse_instant

    start = RealWorld().now() if after is None else parse_instant(after, "--after", local_zone())
    with working(as_json=False) as show:
        found = report(reading, start, partial(show, "comparing fire times"))
    if output is not None:
        write_text(output, found["text"])
    if as_json:
        print_json(found)
        return
    if output is None:
        sys.stdout.write(found["text"])
        sys.stdout.flush()
    _print_report(found, utc)


def _print_report(found: dict[str, Any], utc: bool) -> None:
    """What is told of the jobs, on the error stream: the definitions have the other one."""

    def say(text: str) -> None:
        print(printable(text), file=sys.stderr)

    for line in found["said"]:
        say(line)
    for job in found["jobs"]:
        say(f"{job['place']}: {job['name']}: {job['schedule']}{'' if job['carried'] else '   NOT CARRIED OVER'}")
        for line in job["said"]:
            say(f"    {line}")
        for times, head in ((job["times"], ""), (job["literally"], "with the same text, ")):
            for line in [] if times is None else time_lines(times, found["days"], utc):
                say(f"    {head}{line}")
                head = "    " if head else ""
    carried = sum(job["carried"] for job in found["jobs"])
    differ = sum(job["times"] is not None and job["times"]["different"] > 0 for job in found["jobs"])
    say(f"{carried} of {len(found['jobs'])} job(s) carried over, {differ} with times that differ")


def time_lines(times: dict[str, Any], days: int, utc: bool) -> Iterator[str]:
    """Both systems' times side by side, where they differ, with the reasons."""
    yield (
        f"next {days} days: {times['there']} times there, {times['here']} here, {times['same']} the same"
        + (f", {times['different']} differ" if times["different"] else "")
    )
    why = None
    for one in times["differences"][:SHOWN]:
        there, here = (show_time(one[side], utc, exact=True) for side in ("there", "here"))
        yield f"  there {there:<24} here {here:<24}"
        if one["why"] != why:
            why = one["why"]
            yield f"    {why}"
    if times["different"] > SHOWN:
        yield f"  and {times['different'] - SHOWN} more"
