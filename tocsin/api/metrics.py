"""`GET /metrics`: figures in the text format of Prometheus.

What is of the whole cluster (counts of tasks, canaries, takeovers) comes from the store and is the same from every node; all else
is of this node, to be summed. Counters begin with 0 when the process starts. No figure has a label for a task, a queue, or
anything else that people name.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING, Final

from actors.canaries import Canaries
from actors.canaries_core import BUCKETS, CanaryFigures
from actors.live.figures import Histogram
from actors.model.peer import Standing
from runtime.clock import SECOND
from runtime.errors import TocsinError
from runtime.supervisor import Snapshot

from ..live.hub import Hub
from .exposition import Family
from .request_counts import RequestCounts

if TYPE_CHECKING:
    from actors.lanes import Lane
    from actors.node import Node

OUTBOX_COUNTED: Final = 1_000
"""Entries of an outbox that are counted: more is too many, whatever their number."""

BUILD: Final = Family("tocsin_build_info", "gauge", "1, with the versions of what runs.")
READY: Final = Family("tocsin_ready", "gauge", "1 if the node keeps time, as /api/health/ready says.")
COMPLAINTS: Final = Family("tocsin_health_complaints", "gauge", "Things that are not well about the node.")
TASKS: Final = Family("tocsin_tasks", "gauge", "Stored tasks of the cluster, by status.")
STARTS: Final = Family("tocsin_attempts_started_total", "counter", "Attempts that this node has started.")
RETRIES: Final = Family("tocsin_retries_total", "counter", "Those of them that were not the first of their execution.")
ENDED: Final = Family(
    "tocsin_executions_ended_total", "counter", "Ends of executions that this node has recorded, by state."
)
OUTCOMES: Final = Family(
    "tocsin_outcomes_total", "counter", "Nominal times whose outcome this node has recorded, by outcome and reason."
)
LATENESS: Final = Family(
    "tocsin_lateness_seconds",
    "histogram",
    "From the planned instant to the start, of occurrences started on this node.",
)
SLOTS: Final = Family("tocsin_slots", "gauge", "Attempts that may run at the same time, by lane.")
RUNNING: Final = Family("tocsin_attempts_running", "gauge", "Attempts that run, by lane.")
WAITING: Final = Family(
    "tocsin_executions_waiting", "gauge", "Executions that wait here for a slot, a key or a queue, by lane."
)
COMMIT_SECONDS: Final = Family(
    "tocsin_commit_seconds", "histogram", "How long transactions of the keeper took, by lane."
)
COMMIT_TASKS: Final = Family("tocsin_commit_tasks", "histogram", "Tasks in one transaction of the keeper, by lane.")
COMMIT_FAILURES: Final = Family(
    "tocsin_commit_failures_total", "counter", "Transactions that the store did not make, by lane."
)
STORE_UP: Final = Family("tocsin_store_up", "gauge", "1 if the last transaction could be made, by lane.")
OUTBOX: Final = Family(
    "tocsin_outbox_due",
    "gauge",
    f"Entries of the outbox that are due and not delivered, {OUTBOX_COUNTED} at the most, by lane.",
)
TIMER: Final = Family("tocsin_timer_lateness_seconds", "gauge", "For how long what is due has been waiting, by lane.")
OWNED: Final = Family("tocsin_partitions_owned", "gauge", "Partitions for which this node acts.")
TAKEOVERS: Final = Family(
    "tocsin_partition_epochs_total", "counter", "Times that a partition of the cluster got an owner."
)
MAILBOX: Final = Family("tocsin_mailbox_messages", "gauge", "Messages that wait, by actor.")
REFUSED: Final = Family("tocsin_mailbox_refused_total", "counter", "Messages that found a full mailbox, by actor.")
RESTARTS: Final = Family("tocsin_actor_restarts_total", "counter", "Restarts after a crash, by actor.")
STALLS: Final = Family("tocsin_loop_stalls_total", "counter", "Times that the loop came more than 10 ms late.")
STALL: Final = Family("tocsin_loop_longest_stall_seconds", "gauge", "The latest that it ever came.")
CONNECTED: Final = Family("tocsin_coordination_connected", "gauge", "1 if a coordination server answers.")
LEADS: Final = Family("tocsin_coordination_leads", "gauge", "1 if this node leads the cluster.")
NODES: Final = Family("tocsin_nodes", "gauge", "Nodes that this one knows, itself among them, by their standing.")
LINKS: Final = Family("tocsin_links_up", "gauge", "Links to other nodes that stand.")
LINK_DROPPED: Final = Family("tocsin_link_dropped_total", "counter", "Messages to other nodes that were dropped.")
REQUESTS: Final = Family("tocsin_http_requests_total", "counter", "Requests, by method, route and status.")
LOGINS: Final = Family("tocsin_logins_refused_total", "counter", "Requests that showed no token that is good.")
FOLLOWERS: Final = Family("tocsin_event_followers", "gauge", "Connections that follow live events.")
QUEUE_IN_CHARGE: Final = Family(
    "tocsin_job_queue_in_charge",
    "gauge",
    "1 if the queue of queue.use says who is next, 0 while the node's own order does.",
)
QUEUE_NAMES: Final = Family(
    "tocsin_job_queue_jobs_total",
    "counter",
    "Jobs by what that queue did: given, strange (not there, or again), forgotten, overruled (held back for too long).",
)
QUEUE_FAILURES: Final = Family(
    "tocsin_job_queue_failures_total", "counter", "Times that it failed and lost its charge."
)
STRATEGY_FAILURES: Final = Family(
    "tocsin_placement_failures_total", "counter", "Decisions that a strategy of placement left to least_loaded."
)
BROKER: Final = Family(
    "tocsin_amqp_messages_total", "counter", "Messages of the broker, by what became of them on this node."
)
SPANS: Final = Family(
    "tocsin_trace_spans_total",
    "counter",
    "Spans of traces: sent, dropped (the queue was full), failed (nobody took them).",
)
CANARIES: Final = Family("tocsin_canaries", "gauge", "Canaries that the cluster has.")
CANARIES_WELL: Final = Family("tocsin_canaries_well", "gauge", "Canaries that run on time.")
CANARY_DUE: Final = Family("tocsin_canary_due_total", "counter", "Nominal times of all present canaries so far.")
CANARY_MISSED: Final = Family("tocsin_canary_missed_total", "counter", "Those of them for which nothing ran.")
CANARY_LATENESS: Final = Family(
    "tocsin_canary_lateness_seconds", "histogram", "From nominal time to start, of canaries that ran on this node."
)

FAMILIES: Final = tuple(value for value in list(globals().values()) if isinstance(value, Family))
"""All there are, in the order in which they are told."""


async def metrics_text(node: Node, requests: RequestCounts, hub: Hub) -> str:
    """The figures as a scraper reads them. What of them a store that is away would have to say is left out."""
    lines = [
        *_about_node(node),
        *_work(node),
        *_lanes(node),
        *_actors(node),
        *_cluster(node),
        *_job_queue(node),
        *_broker(node),
        *_interface(requests, hub),
    ]
    with suppress(TocsinError):
        lines += await _stored(node)
    return "\n".join(lines) + "\n"


def _about_node(node: Node) -> Iterator[str]:
    versions = {"version": metadata.version("tocsin"), "python": platform.python_version()}
    yield from BUILD.of(1, **versions)
    yield from READY.of(int(not node.hindrances()))
    yield from COMPLAINTS.of(len(node.health()))


def _work(node: Node) -> Iterator[str]:
    figures = node.journal.figures
    yield from STARTS.of(figures.starts)
    yield from RETRIES.of(figures.retries)
    yield from ENDED.by("state", figures.ended)
    found = sorted(figures.outcomes.items())
    yield from OUTCOMES.all([({"outcome": outcome, "reason": reason}, count) for (outcome, reason), count in found])
    yield from LATENESS.histograms({"": figures.lateness}, "")


def _lanes(node: Node) -> Iterator[str]:
    lanes = {lane.name: lane for lane in node.lanes}
    loads = {name: lane.executor.load() for name, lane in lanes.items()}
    yield from SLOTS.by("lane", {name: slots for name, (slots, _, _) in loads.items()})
    yield from RUNNING.by("lane", {name: running for name, (_, _, running) in loads.items()})
    yield from WAITING.by("lane", {name: _waiting(lane) for name, lane in lanes.items()})
    commits = {name: lane.keeper.figures for name, lane in lanes.items()}
    yield from COMMIT_SECONDS.histograms({name: one.seconds for name, one in commits.items()}, "lane")
    yield from COMMIT_TASKS.histograms({name: one.tasks for name, one in commits.items()}, "lane")
    yield from COMMIT_FAILURES.by("lane", {name: one.failed for name, one in commits.items()})
    yield from STORE_UP.by("lane", {name: int(lane.keeper.trouble is None) for name, lane in lanes.items()})
    yield from TIMER.by("lane", {name: lane.timer.lateness() / SECOND for name, lane in lanes.items()})
    yield from OWNED.of(len(node.lanes[0].keeper.owned))


def _waiting(lane: Lane) -> int:
    return sum(queue.waiting for queue in lane.keeper.claims.queues.queues())


def _actors(node: Node) -> Iterator[str]:
    found = dict(_children("", node.snapshot()))
    boxes = {name: one.statistics.mailbox for name, one in found.items() if one.statistics is not None}
    yield from MAILBOX.by("actor", {name: box.depth for name, box in boxes.items()})
    yield from REFUSED.by("actor", {name: box.refused for name, box in boxes.items()})
    yield from RESTARTS.by("actor", {name: one.restarts for name, one in found.items()})
    stalls = node.stalls()
    yield from STALLS.of(stalls.stalls)
    yield from STALL.of(stalls.longest_stall_seconds)


def _children(above: str, found: Snapshot) -> Iterator[tuple[str, Snapshot]]:
    """Everything below a supervisor, by its path."""
    for child in found.children:
        name = f"{above}/{child.name}" if above else child.name
        yield name, child
        yield from _children(name, child)


def _cluster(node: Node) -> Iterator[str]:
    cluster = node.cluster
    if cluster is None:
        return
    status = cluster.coordination.status()
    yield from CONNECTED.of(int(status.connected))
    yield from LEADS.of(int(status.leader == node.config.name))
    standing = Counter(peer.standing.value for peer in cluster.peers())
    yield from NODES.by("standing", {one.value: standing[one.value] for one in Standing})
    links = cluster.fabric.links()
    yield from LINKS.of(sum(link.up for link in links))
    yield from LINK_DROPPED.of(sum(link.dropped for link in links))
    yield from STRATEGY_FAILURES.of(cluster.places.failures)


def _job_queue(node: Node) -> Iterator[str]:
    queue = node.job_queue
    if queue is None:
        return
    found = queue.figures
    yield from QUEUE_IN_CHARGE.of(int(queue.in_charge))
    names = {"given": found.given, "strange": found.strange, "forgotten": found.forgotten, "overruled": found.overruled}
    yield from QUEUE_NAMES.by("what", names)
    yield from QUEUE_FAILURES.of(found.failures)


def _broker(node: Node) -> Iterator[str]:
    tally = node.tallies.get("amqp")
    if tally is not None:
        yield from BROKER.by("result", tally())
    spans = node.tallies.get("tracing")
    if spans is not None:
        yield from SPANS.by("result", spans())


def _interface(requests: RequestCounts, hub: Hub) -> Iterator[str]:
    labels = ("method", "route", "status")
    found = sorted(requests.found.items())
    yield from REQUESTS.all([(dict(zip(labels, key, strict=True)), count) for key, count in found])
    yield from LOGINS.of(requests.refused_logins)
    yield from FOLLOWERS.of(hub.followers)


async def _stored(node: Node) -> list[str]:
    """What stands in the store."""
    counts = (await node.counts()).without_system()
    waiting = {lane.name: await node.outbox_due(lane, OUTBOX_COUNTED) for lane in node.lanes}
    lines = [*TASKS.by("status", counts.by_status), *OUTBOX.by("lane", waiting)]
    lines += TAKEOVERS.of(await node.epochs())
    if node.canaries is not None:
        lines += _canaries(node.canaries, await node.canaries.figures())
    return lines


def _canaries(canaries: Canaries, found: CanaryFigures) -> Iterable[str]:
    yield from CANARIES.of(found.canaries)
    yield from CANARIES_WELL.of(found.well)
    yield from CANARY_DUE.of(found.due)
    yield from CANARY_MISSED.of(found.missed)
    lateness = Histogram(BUCKETS)
    lateness.counts, lateness.total = list(canaries.buckets), canaries.late_seconds
    yield from CANARY_LATENESS.histograms({"": lateness}, "")
