"""What scrapers are told, over HTTP, and that it tells nothing about single tasks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from actors.live.figures import Histogram
from tests.tocsin.access.kit import LATER, Person
from tests.tocsin.conftest import Running, settings
from tests.tocsin.live.kit import following
from tests.tocsin.live.prometheus import Found, parsed
from tocsin.api.exposition import Family
from tocsin.api.metrics import FAMILIES
from tocsin.api.request_counts import RequestCounts

OF_CLUSTERS = {
    "tocsin_coordination_connected",
    "tocsin_coordination_leads",
    "tocsin_nodes",
    "tocsin_links_up",
    "tocsin_link_dropped_total",
    "tocsin_placement_failures_total",
}
OF_JOB_QUEUES = {"tocsin_job_queue_in_charge", "tocsin_job_queue_jobs_total", "tocsin_job_queue_failures_total"}
OF_BROKERS = {"tocsin_amqp_messages_total"}
OF_TRACES = {"tocsin_trace_spans_total"}


@pytest.fixture
def root(running: Running) -> Person:
    return Person(running.url, running.token)


def scraped(person: Person) -> dict[str, Found]:
    answer = person.send("GET", "/metrics")
    assert answer.status_code == 200, answer.text
    return parsed(answer.text)


def value(found: Mapping[str, Found], family: str, **labels: str) -> float:
    samples = found[family].samples
    return sum(number for (_, pairs), number in samples.items() if labels.items() <= dict(pairs).items())


def test_all_families_are_there_and_are_well_formed(root: Person) -> None:
    found = scraped(root)
    assert set(found) == {family.name for family in FAMILIES} - OF_CLUSTERS - OF_JOB_QUEUES - OF_BROKERS - OF_TRACES
    assert {name: (one.kind, one.about) for name, one in found.items()} == {
        family.name: (family.kind, family.about) for family in FAMILIES if family.name in found
    }
    assert value(found, "tocsin_build_info") == value(found, "tocsin_ready") == 1
    assert value(found, "tocsin_slots", lane="durable") == 1000
    assert value(found, "tocsin_partitions_owned") == 256
    assert value(found, "tocsin_partition_epochs_total") == 256
    assert value(found, "tocsin_store_up") == 2


def test_what_was_done_is_counted(root: Person) -> None:
    before = scraped(root)
    body = {"name": "counted", "taskType": "greet", "trigger": {"after": "10ms"}, "tags": ["secret tag"]}
    task = root.make("/api/tasks", body)["itemId"]
    root.make(f"/api/tasks/{task}/run", {})
    with following(root.url, root.token or ""):
        for _ in range(100):
            after = scraped(root)
            if value(after, "tocsin_executions_ended_total") - value(before, "tocsin_executions_ended_total") == 2:
                break
        assert value(after, "tocsin_event_followers") == 1

    def more(family: str, **labels: str) -> float:
        return value(after, family, **labels) - value(before, family, **labels)

    assert more("tocsin_attempts_started_total") == 2
    assert more("tocsin_executions_ended_total", state="COMPLETED") == 2
    assert more("tocsin_outcomes_total", outcome="fired") == 1, "a run by hand is of no nominal time"
    route = "/api/tasks/{task}/run"
    assert more("tocsin_http_requests_total", method="POST", route=route) == 1
    assert after["tocsin_commit_seconds"].samples["tocsin_commit_seconds_count", (("lane", "durable"),)] > 0


def test_requests_that_lead_nowhere_do_not_grow_the_answer(root: Person) -> None:
    nobody = Person(root.url, "wrong")
    before = scraped(root)
    for number in range(3):
        assert nobody.send("GET", "/api/tasks").status_code == 401
        root.send("GET", f"/nowhere/{number}")
        root.send(f"WORD{number}", "/api/tasks")
    after = scraped(root)
    assert value(after, "tocsin_logins_refused_total") - value(before, "tocsin_logins_refused_total") == 3
    assert value(after, "tocsin_http_requests_total", route="none", status="404") >= 3
    methods = {dict(labels)["method"] for _, labels in after["tocsin_http_requests_total"].samples}
    assert methods <= {"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "other"}


def test_no_task_tenant_or_user_is_named(root: Person) -> None:
    acme = root.with_token(role="administrator", tenant="acme", user="somebody")
    acme.make(
        "/api/tasks",
        {"name": "hidden name", "taskType": "greet", "trigger": LATER, "policies": {"queue": "hidden queue"}},
    )
    text = root.send("GET", "/metrics").text
    for word in ("hidden", "acme", "somebody", "greet"):
        assert word not in text
    assert acme.send("GET", "/metrics").status_code == root.send("GET", "/api/canaries").status_code


def test_odd_values_are_escaped() -> None:
    family = Family("tocsin_odd", "gauge", "Odd.")
    text = "\n".join(family.by("word", {'a"b\\c\nd': 1, "plain": 0.25})) + "\n"
    assert parsed(text)["tocsin_odd"].samples == {
        ("tocsin_odd", (("word", 'a\\"b\\\\c\\nd'),)): 1.0,
        ("tocsin_odd", (("word", "plain"),)): 0.25,
    }


def test_a_histogram_counts_what_is_within_each_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for number in (0.05, 0.1, 0.5, 7.0):
        histogram.add(number)
    family = Family("tocsin_some_seconds", "histogram", "Some.")
    found = parsed("\n".join(family.histograms({"x": histogram}, "lane")) + "\n")["tocsin_some_seconds"]
    buckets = {dict(labels)["le"]: count for (name, labels), count in found.samples.items() if name.endswith("_bucket")}
    assert buckets == {"0.1": 2, "1": 3, "+Inf": 4}
    assert found.samples["tocsin_some_seconds_sum", (("lane", "x"),)] == pytest.approx(7.65)


def test_requests_are_counted_by_what_they_were_for() -> None:
    counts = RequestCounts()
    counts.count("GET", "/api/tasks/{task:str}", 200)
    counts.count("BREW", None, 401)
    assert dict(counts.found) == {("GET", "/api/tasks/{task}", "200"): 1, ("other", "none", "401"): 1}
    assert counts.refused_logins == 1


def test_a_queue_of_the_user_s_is_counted(tmp_path: Path) -> None:
    node = Running(tmp_path / "node")
    node.start(attrs.evolve(settings(node.data), queue_use="tocsin.queue.custom:JobQueue"))
    try:
        person = Person(node.url, node.token)
        body = {"name": "one", "taskType": "greet", "trigger": {"after": "0s"}}
        person.make("/api/tasks", body)
        deadline = time.monotonic() + 30
        while value(found := scraped(person), "tocsin_job_queue_jobs_total", what="given") < 1:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert set(found) >= OF_JOB_QUEUES
        assert value(found, "tocsin_job_queue_in_charge") == 1
        assert value(found, "tocsin_job_queue_failures_total") == 0
    finally:
        node.stop()
