"""What is read of other systems' files, what is said of it, and the tables of times that differ."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from actors.when.triggers import next_after
from runtime.clock import DAY, Instant, from_datetime
from runtime.errors import InvalidRequest
from tests.tocsin.conftest import CATALOGUE
from tocsin.imports.apscheduler import read_jobs
from tocsin.imports.celery import read_beat
from tocsin.imports.comparing import UNEXPLAINED, own_times
from tocsin.imports.crontab import read_crontab
from tocsin.imports.found import Reading
from tocsin.imports.kubernetes import read_cronjobs
from tocsin.imports.report import report
from tocsin.plans.documents import Source, read_files
from tocsin.plans.yaml_text import read_yaml
from tocsin.vocabulary.definitions import definition_from_json


def instant(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text))


START = instant("2026-01-01T00:00:00Z")


def told(reading: Reading) -> dict[str, dict[str, Any]]:
    found = report(reading, START, lambda done, total: None)
    [document] = read_yaml(found["text"], "written")
    read_files([Source("written", found["text"])])
    assert len(document.value["tasks"] or []) == sum(job["carried"] for job in found["jobs"])
    return {job["name"]: job for job in found["jobs"]}


def differing(job: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    for one in job["times"]["differences"]:
        assert one["why"] != UNEXPLAINED
    return [(one["there"], one["here"]) for one in job["times"]["differences"]]


# ---- crontabs

CRONTAB = r"""
# m h dom mon dow command
SHELL=/bin/bash
MAILTO = "ops@example.org"
GREETING='hello there'
30 2 * * *   backup --to "a b"
*/20 2 * * * often
0 0 13 * 5   either
0 0 */2 * 1  both
0 5/2 * * *  junk
@reboot      start
@weekly      report %first\%second%third
CRON_TZ=America/New_York
30 2 * * *   over there
61 * * * *   wrong
* * * *
@often       unknown
"""


def test_a_crontab_line_by_line() -> None:
    reading = read_crontab(CRONTAB, "tab", timezone="Europe/Berlin")
    jobs = {job.name: job for job in reading.jobs}
    assert reading.said == (
        "tab:4: MAILTO: output is not mailed: it is in the execution's log, and an event trigger can send a mail",
    )
    assert {name: job.body is not None for name, job in jobs.items()} == {
        'backup --to "a b"': True,
        "often": True,
        "either": True,
        "both": True,
        "junk": True,
        "start": False,
        r"report %first\%second%third": True,
        "over there": True,
        "wrong": False,
        "* * * *": False,
        "unknown": False,
    }
    assert [job.place for job in jobs.values()][:2] == ["tab:6", "tab:7"]
    assert "nothing runs when a machine starts" in jobs["start"].said[0]
    assert "'61' is out of range 0-59" in jobs["wrong"].said[0]
    assert "so '5' is written" in jobs["junk"].said[0]
    bodies = {job.name: job.body for job in reading.jobs if job.body is not None}
    assert bodies[r"report %first\%second%third"]["parameters"] == {
        "argv": ["/bin/bash", "-c", "report"],
        "env": {"SHELL": "/bin/bash", "GREETING": "hello there"},
        "stdin": "first%second\nthird\n",
    }
    assert bodies["junk"]["trigger"]["cron"] == "0 5 * * *"


def test_cron_and_tocsin_agree_but_for_a_zone_that_is_not_the_machines() -> None:
    jobs = told(read_crontab(CRONTAB, "tab", timezone="Europe/Berlin"))
    for name in ('backup --to "a b"', "often", "either", "both", "junk"):
        assert differing(jobs[name]) == []
        assert jobs[name]["times"]["same"] == jobs[name]["times"]["there"] > 20
    assert differing(jobs["over there"]) == [(None, "2026-03-08T07:00:00Z")]


def test_debian_s_cron_does_not_go_by_cron_tz() -> None:
    text = "CRON_TZ=Asia/Tokyo\n30 2 * * * x"
    reading = read_crontab(text, "tab", timezone="Europe/Berlin", flavour="debian")
    assert "does not go by it" in reading.said[0]
    assert told(reading)["x"]["trigger"]["timezone"] == "Europe/Berlin"


def test_a_crontab_of_the_system_names_users() -> None:
    jobs = told(read_crontab("17 *\t* * *\troot    cd / && run-parts --report /etc/cron.hourly", "tab", system=True))
    [job] = jobs.values()
    assert job["name"] == "cd / && run-parts --report /etc/cron.hourly"
    assert "the user root is not carried over" in job["said"][0]


def test_lines_with_the_same_command_have_names_of_their_own() -> None:
    assert list(told(read_crontab("0 1 * * * x\n0 2 * * * x", "tab"))) == ["x", "x (2)"]


# ---- Kubernetes


def cronjob(name: str, schedule: str, **spec: Any) -> dict[str, Any]:
    spec = {"schedule": schedule, "jobTemplate": {"spec": {"backoffLimit": 2}}, **spec}
    metadata = {"name": name, "namespace": "prod", "creationTimestamp": "2025-12-24T10:00:00Z"}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


def cronjobs(*listed: dict[str, Any], **more: Any) -> Reading:
    return read_cronjobs(json.dumps({"kind": "List", "items": list(listed)}), "k.yaml", **more)


def test_a_cron_job_skips_what_is_left_out_and_doubles_what_comes_twice() -> None:
    there = cronjob("daily", "30 2 * * *", timeZone="Europe/Berlin")
    [job] = told(cronjobs(there)).values()
    assert differing(job) == [(None, "2026-03-29T01:00:00Z"), ("2026-10-25T01:30:00Z", None)]
    assert "does not run a time that is left out" in job["times"]["differences"][0]["why"]
    assert "runs a time that comes twice twice" in job["times"]["differences"][1]["why"]
    [job] = told(cronjobs(there, keep=True)).values()
    assert differing(job) == []
    assert job["trigger"] == {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "gap": "skip", "fold": "both"}


def test_a_star_with_a_step_is_no_star_to_kubernetes() -> None:
    [job] = told(cronjobs(cronjob("odd", "0 0 */2 * 1", timeZone="Etc/UTC"))).values()
    assert job["trigger"]["cron"] == "0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * 1"
    assert differing(job) == []
    assert any("a star with a step is no star" in line for line in job["said"])
    # 4 January 2026 is a Sunday: the fifth a Monday with an odd day, the third no Monday.
    literally = job["literally"]
    assert literally["there"] > literally["here"] == literally["same"]
    firsts = [one["there"] for one in literally["differences"][:3]]
    assert firsts == ["2026-01-03T00:00:00Z", "2026-01-07T00:00:00Z", "2026-01-09T00:00:00Z"]
    assert all("one of the two is enough" in one["why"] for one in literally["differences"])


@pytest.mark.parametrize(
    ("schedule", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("5/20 * * * *", "5,25,45 * * * *"),
        ("0 0 ? * MON-FRI", "0 0 * * 1-5"),
        ("0 0 1,15 * fri", "0 0 1,15 * 5"),
        ("*/15 0-6 * jan *", "*/15 0-6 * 1 *"),
        ("0 0 1-31 * 5", "0 0 * * *"),
    ],
)
def test_schedules_of_kubernetes_as_tocsin_writes_them(schedule: str, expression: str) -> None:
    [job] = told(cronjobs(cronjob("x", schedule, timeZone="UTC"))).values()
    assert job["trigger"]["cron"] == expression
    assert differing(job) == []


@pytest.mark.parametrize("schedule", ["0 0 * * 7", "0 0 31-2 * *", "0 0 L * *", "0 0 * *", "@reboot", "@every x"])
def test_what_kubernetes_refuses_is_not_carried_over(schedule: str) -> None:
    [job] = told(cronjobs(cronjob("x", schedule))).values()
    assert not job["carried"]


def test_policies_of_a_cron_job() -> None:
    reading = cronjobs(
        cronjob("a", "@daily", concurrencyPolicy="Forbid", startingDeadlineSeconds=5, suspend=True),
        cronjob("b", "@every 90m", concurrencyPolicy="Replace"),
        {"kind": "Service"},
    )
    assert reading.said == ("k.yaml:1: 'Service' is no CronJob: passed over",)
    first, second = (job.body for job in reading.jobs)
    assert first is not None
    assert second is not None
    assert first["policies"] == {
        "overlap": "queue",
        "catchUp": "latest",
        "retry": {"maxRetries": 0},
        "latenessLimit": "5s",
        "maxWait": "5s",
    }
    assert first["paused"] is True
    assert first["labels"] == {"namespace": "prod"}
    assert "--from=cronjob/a" in first["parameters"]["argv"][2]
    assert second["policies"]["overlap"] == "replace"
    jobs = told(reading)
    said = "\n".join(jobs["prod/a"]["said"])
    for word in ("no timeZone", "startingDeadlineSeconds 5", "backoffLimit: 2 stays", "one run waits"):
        assert word in said
    assert jobs["prod/b"]["times"]["same"] == jobs["prod/b"]["times"]["there"] == 400 * 16


# ---- Celery

MODULE = """
from celery import Celery
from celery.schedules import crontab, solar
from datetime import timedelta
app = Celery("x")
HALF = 30.0
raise SystemExit("this is not run")
app.conf.timezone = "Europe/Berlin"
app.conf.beat_schedule = {
    "nightly": {"task": "jobs.nightly", "schedule": crontab(hour=2, minute=30), "kwargs": {"region": "eu"}},
    "odd": {"task": "jobs.odd", "schedule": crontab(0, 0, day_of_month="13", day_of_week="fri")},
    "often": {"task": "jobs.often", "schedule": HALF * 2, "args": (1, 2)},
    "delta": {"task": "jobs.delta", "schedule": timedelta(hours=1, minutes=30), "options": {"queue": "q", "expires": 60}},
    "round": {"task": "jobs.round", "schedule": crontab(minute="*/30", hour="22-2", day_of_week="fri-mon")},
    "sun": {"task": "jobs.sun", "schedule": solar("sunset", -37.8, 144.9)},
    "code": {"task": "jobs.code", "schedule": make_schedule()},
    "half": {"task": "jobs.half", "schedule": crontab(minute=30)},
}
"""


def test_a_module_of_celery_is_read_and_not_run() -> None:
    reading = read_beat(MODULE, "tasks.py")
    jobs = told(reading)
    assert [name for name, job in jobs.items() if not job["carried"]] == ["sun", "code"]
    assert "the sun is not known here" in jobs["sun"]["said"][0]
    assert "cannot be read without running it" in jobs["code"]["said"][0]
    bodies = {job.name: job.body for job in reading.jobs if job.body is not None}
    assert bodies["nightly"]["parameters"] == {"region": "eu"}
    assert bodies["nightly"]["taskType"] == "jobs.nightly"
    assert bodies["often"]["trigger"] == {"every": "60000ms"}
    assert bodies["delta"]["trigger"] == {"every": "5400000ms"}
    assert bodies["delta"]["policies"] == {
        "overlap": "allow", "catchUp": "latest", "queue": "q", "maxWait": "60000ms",
    }  # fmt: skip
    assert bodies["round"]["trigger"]["cron"] == "*/30 0-2,22,23 * * 0,1,5,6"
    assert jobs["often"]["times"] is None
    assert "beat counts from each last run" in jobs["often"]["said"][0]
    assert jobs["nightly"]["place"] == "tasks.py:10"


def test_times_of_celery_as_they_were_measured() -> None:
    """Measured with Celery 5.7: at changes of clocks, and that both days must match."""
    jobs = told(read_beat(MODULE, "tasks.py"))
    assert differing(jobs["nightly"]) == [("2026-03-29T01:30:00Z", None), (None, "2026-03-29T01:00:00Z")] or (
        differing(jobs["nightly"]) == [("2026-03-29T01:30:00Z", "2026-03-29T01:00:00Z")]
    )
    assert differing(jobs["half"]) == [(None, "2026-10-25T01:30:00Z")]
    odd = next(job for job in read_beat(MODULE, "tasks.py", timezone="UTC").jobs if job.name == "odd")
    assert odd.theirs is not None
    assert odd.theirs(START, instant("2027-01-01T00:00:00Z")) == [
        instant(f"2026-{day}T00:00:00Z") for day in ("02-13", "03-13", "11-13")
    ]
    assert differing(jobs["odd"]) == []
    assert jobs["odd"]["times"]["same"] >= 3


def test_a_dump_of_a_schedule_of_celery() -> None:
    dump = {
        "timezone": "Asia/Tokyo",
        "beat_schedule": {
            "a": {"task": "t", "schedule": 30},
            "b": {"task": "t", "schedule": {"crontab": {"minute": "0", "hour": "4"}}},
            "c": {"task": "t", "schedule": "crontab(minute=0, hour='*/3')"},
            "d": {"task": "t", "schedule": "<freq: 1 minute>"},
            "e": {"schedule": 1},
        },
    }
    jobs = told(read_beat(json.dumps(dump), "dump.json"))
    assert [name for name, job in jobs.items() if job["carried"]] == ["a", "b", "c"]
    assert jobs["c"]["trigger"] == {"cron": "0 */3 * * *", "timezone": "Asia/Tokyo"}
    assert differing(jobs["c"]) == []


@pytest.mark.parametrize(("field", "value"), [("day_of_week", "7"), ("minute", "5/10"), ("hour", "24")])
def test_what_celery_refuses_is_not_carried_over(field: str, value: str) -> None:
    dump = {"a": {"task": "t", "schedule": {field: value}}}
    assert not told(read_beat(json.dumps(dump), "dump.json"))["a"]["carried"]


# ---- APScheduler

PRINTED = """Jobstore default:
    join (trigger: interval[0:05:00], next run at: 2026-11-22 16:46:25 CET)
    both (trigger: or[cron[hour='1'], date[2030-01-01 00:00:00 UTC]], next run at: 2026-11-22 18:41:22 UTC)
    X (trigger: cron[hour='2', minute='30'], paused)
Jobstore other:
    No scheduled jobs
"""


def test_what_apscheduler_prints() -> None:
    reading = read_jobs(PRINTED, "jobs.txt", timezone="Europe/Berlin")
    jobs = told(reading)
    assert list(jobs) == ["join", "both", "X"]
    assert reading.said == ("jobs.txt:6: is no line that print_jobs prints: 'No scheduled jobs'",) or not reading.said
    assert jobs["join"]["trigger"] == {"every": "300s"}
    assert jobs["both"]["trigger"] == {
        "any": [{"cron": "0 1 * * *", "timezone": "Europe/Berlin"}, {"at": "2030-01-01T00:00:00Z"}]
    }
    assert "misfire_grace_time is not known" in jobs["X"]["said"][-1]


def listed(**job: Any) -> Reading:
    return read_jobs(json.dumps([{"name": "x", "func": "a:b", **job}]), "jobs.json", timezone="Europe/Berlin")


def test_times_of_apscheduler_as_they_were_measured() -> None:
    """Measured with APScheduler 3.11: at changes of clocks, weekdays from Monday, and that both days must match."""
    [job] = told(listed(trigger="cron[hour='2', minute='30']")).values()
    assert [there for there, _ in differing(job) if there] == ["2026-03-29T01:30:00Z", "2026-10-25T01:30:00Z"]
    span = (instant("2026-03-28T23:50:00Z"), instant("2027-12-31T00:00:00Z"))
    for trigger, firsts in (
        ("cron[day_of_week='0', hour='1']", ["2026-03-29T23:00", "2026-04-05T23:00", "2026-04-12T23:00"]),
        ("cron[day='1st mon', hour='1']", ["2026-04-05T23:00", "2026-05-03T23:00", "2026-05-31T23:00"]),
        ("cron[day='last', hour='1']", ["2026-03-30T23:00", "2026-04-29T23:00", "2026-05-30T23:00"]),
        ("cron[day='13', day_of_week='fri', hour='0']", ["2026-11-12T23:00", "2027-08-12T22:00"]),
    ):
        reading = listed(trigger=trigger)
        [found] = reading.jobs
        assert found.theirs is not None
        assert found.body is not None
        wanted = [instant(text + ":00Z") for text in firsts]
        assert found.theirs(*span)[: len(wanted)] == wanted
        assert own_times(found.body["trigger"], reading.calendars, *span)[: len(wanted)] == wanted
        [job] = told(reading).values()
        assert all(near_a_change(there or here or "") for there, here in differing(job))


def near_a_change(text: str) -> bool:
    return text[:10] in ("2026-03-29", "2026-10-25")


def test_what_belongs_to_a_job_of_apscheduler() -> None:
    reading = listed(
        trigger="interval[1 day, 2:00:00]", start_date="2026-01-01 06:00:00", end_date="2026-06-01", jitter=30,
        misfire_grace_time=120, coalesce=False, max_instances=3, id="j", kwargs={"a": 1}, next_run_time=None,
    )  # fmt: skip
    [found] = reading.jobs
    assert found.body == {
        "name": "x",
        "taskType": "a:b",
        "trigger": {
            "every": "93600s",
            "anchor": "2026-01-01T05:00:00Z",
            "start": "2026-01-01T05:00:00Z",
            "end": "2026-05-31T22:00:00Z",
            "spread": "30s",
        },
        "parameters": {"a": 1},
        "policies": {
            "catchUp": "all",
            "retry": {"maxRetries": 0},
            "latenessLimit": "120s",
            "overlap": "allow",
            "concurrency": {"key": "j", "limit": 3},
        },
        "paused": True,
    }
    [job] = told(reading).values()
    assert differing(job) == []


@pytest.mark.parametrize(
    "trigger",
    ["cron[year='2027']", "cron[week='3']", "and[cron[hour='1'], cron[hour='2']]", "solar[]", "cron[minute='70']"],
)
def test_what_has_no_counterpart_is_said(trigger: str) -> None:
    [job] = told(listed(trigger=trigger)).values()
    assert not job["carried"]
    assert job["said"]


def test_pickles_are_not_read() -> None:
    with pytest.raises(InvalidRequest, match="holds pickles, which are not read"):
        read_jobs('{"jobs": [{"trigger": {"__apscheduler_pickle__": "gAWV"}}]}', "jobs.json")


# ---- all of them


def test_what_is_written_is_taken_by_tocsin() -> None:
    readings = (
        read_crontab(CRONTAB, "tab"),
        cronjobs(cronjob("a", "0 0 */2 * 1", concurrencyPolicy="Forbid", startingDeadlineSeconds=60)),
    )
    for reading in readings:
        for job in reading.jobs:
            if job.body is None:
                continue
            body = {key: value for key, value in job.body.items() if key != "paused"} | {"taskType": "greet"}
            body.pop("parameters")
            made = definition_from_json(body, CATALOGUE, START, task_id="0" * 36, owner="")
            assert next_after(made.trigger, made.bounds, START) is not None
    assert Instant(START + DAY) > START
