"""All that an import answers: a file of definitions, what is told of each job, and both systems' times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from runtime.clock import Instant
from runtime.errors import TocsinError

from ..plans.documents import FORM
from ..plans.yaml_text import write_yaml
from ..vocabulary.fields import show_instant
from .comparing import SPAN_DAYS, Comparison, compare, compare_literally
from .found import Found, Reading

MOST: Final = 1_000
"""Differing times of one job that are told; how many there are is told in any case."""


def report(reading: Reading, start: Instant, step: Callable[[int, int], None]) -> dict[str, Any]:
    """The whole of it as JSON. step: told how many jobs of how many are done. Takes up to seconds for each job."""
    jobs = []
    for index, found in enumerate(reading.jobs):
        jobs.append(_job_view(found, reading, start))
        step(index + 1, len(reading.jobs))
    document = {
        "tocsin": FORM,
        "calendars": [dict(calendar) for calendar in reading.calendars],
        "tasks": [dict(found.body) for found in reading.jobs if found.body is not None],
    }
    return {
        "text": write_yaml({key: value for key, value in document.items() if value or key == "tasks"}),
        "from": show_instant(start),
        "days": SPAN_DAYS,
        "jobs": jobs,
        "said": list(reading.said),
    }


def _job_view(found: Found, reading: Reading, start: Instant) -> dict[str, Any]:
    said, times, literally = list(found.said), None, None
    try:
        times = compare(found, reading.calendars, start)
        literally = compare_literally(found, reading.calendars, start)
    except TocsinError as error:
        said.append(f"Tocsin refuses it: {error}")
    return {
        "name": found.name,
        "place": found.place,
        "schedule": found.schedule,
        "trigger": None if found.body is None else found.body["trigger"],
        "carried": found.body is not None,
        "said": said,
        "times": _times_view(times),
        "literally": _times_view(literally),
    }


def _times_view(times: Comparison | None) -> Mapping[str, Any] | None:
    if times is None:
        return None
    return {
        "there": times.there,
        "here": times.here,
        "same": times.same,
        "different": len(times.differences),
        "differences": [
            {"kind": one.kind, "there": show_instant(one.there), "here": show_instant(one.here), "why": one.why}
            for one in times.differences[:MOST]
        ],
    }
