"""`tocsin calendar ...`: sets of days and windows that tasks keep to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from runtime.errors import InvalidRequest

from .bodies import local_time, parameters_body
from .connection import connect
from .options import Many
from .output import AS_JSON, print_facts, print_json, print_table

Json = Annotated[bool, AS_JSON]

calendars = App(name="calendar", help="Calendars: holidays, blackouts, working days that tasks keep to.")


@calendars.command(name="list")
def list_calendars(*, as_json: Json = False) -> None:
    """List the calendars."""
    found = connect().call("list_calendars")
    if as_json:
        print_json(found)
    elif not found["list"]:
        print("No calendars.")
    else:
        rows = [_row(one) for one in found["list"]]
        print_table(("Calendar", "Version", "Timezone", "Days", "Windows", "Weekdays"), rows)


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    weekdays = ",".join(one["weekdays"]) or None
    return one["name"], one["version"], one["timezone"], len(one["days"]), len(one["windows"]), weekdays


@calendars.command(name="show")
def show_calendar(name: str, /, *, version: int | None = None, as_json: Json = False) -> None:
    """Show what a calendar holds.

    Parameters
    ----------
    version
        An older one; the newest if not said.
    """
    found = connect().call("show_calendar", calendar=name, version=version)
    if as_json:
        print_json(found)
        return
    print_facts(
        [
            ("Calendar", found["name"]),
            ("Version", found["version"]),
            ("Timezone", found["timezone"]),
            ("Weekdays", ", ".join(found["weekdays"]) or None),
            ("Days", ", ".join(_day_words(day) for day in found["days"]) or None),
            ("Windows", ", ".join(f"{one['begin']} to {one['end']}" for one in found["windows"]) or None),
        ]
    )


def _day_words(day: Any) -> str:
    return day if isinstance(day, str) else f"{day['first']} to {day['last']}"


@calendars.command(name="put")
def put_calendar(
    name: str,
    /,
    *,
    content: Annotated[str | None, Parameter(name="--content", help="All of it as JSON, or @FILE.")] = None,
    ics: Path | None = None,
    day: Annotated[list[str] | None, Many] = None,
    weekday: Annotated[list[str] | None, Many] = None,
    timezone: str | None = None,
    since: Annotated[str | None, Parameter(name="--from", help="With --ics: no events before this time.")] = None,
    until: str | None = None,
    as_json: Json = False,
) -> None:
    """Keep a calendar as its next version: `tocsin calendar put holidays --day 2026-12-25 --weekday sun`.

    Parameters
    ----------
    ics
        An iCalendar file; from two years ago to ten years ahead if not said otherwise.
    day
        A day, or a run of days: 2026-12-24..2026-12-26. May be given several times.
    weekday
        mon, tue, wed, thu, fri, sat or sun. May be given several times.
    timezone
        Whose days they are; UTC if not said.
    until
        With --ics: no events after this time.
    """
    by_days = "--day" if day else "--weekday"
    given = [option for option, value in (("--content", content), ("--ics", ics), (by_days, day or weekday)) if value]
    if len(given) > 1:
        raise InvalidRequest(f"{' and '.join(given)}: one of them")
    if not given:
        raise InvalidRequest("say what it holds: --day, --weekday, --ics or --content")
    if ics is None and (since or until):
        raise InvalidRequest("--from, --until: go with --ics")
    body = parameters_body(content, "--content") if content is not None else _body(ics, day, weekday)
    if isinstance(body, dict):
        limits = {
            "from": local_time(since, timezone, "--from"),
            "until": local_time(until, timezone, "--until"),
            "timezone": timezone,
        }
        body |= {key: value for key, value in limits.items() if value is not None}
    found = connect().call("put_calendar", calendar=name, body=body)
    print_json(found) if as_json else print(f"{found['name']} is kept as version {found['version']}")


def _body(ics: Path | None, days: list[str] | None, weekdays: list[str] | None) -> dict[str, Any]:
    if ics is not None:
        return {"ics": _ics_text(ics)}
    return {"days": [_run_of_days(text) for text in days or ()], "weekdays": weekdays or []}


def _run_of_days(text: str) -> str | dict[str, str]:
    first, dots, last = text.partition("..")
    return {"first": first, "last": last} if dots else text


def _ics_text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"--ics: {str(path)!r} is not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise InvalidRequest(f"cannot read {str(path)!r}: {error.strerror}") from None


@calendars.command(name="delete")
def delete_calendar(name: str, /, *, as_json: Json = False) -> None:
    """Remove a calendar that no task uses."""
    connect().call("delete_calendar", calendar=name)
    print_json({"deleted": name}) if as_json else print(f"{name} deleted")
