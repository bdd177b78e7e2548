"""What a node that runs says of itself and of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from actors.model.system import OWN_TYPES
from actors.when.zones import database_version

from ..services.node import versions
from .findings import Finding, bad, good, warning
from .servers import offset_finding

MOST_LOOKED_AT: Final = 1_000
"""Tasks whose types are looked at: one answer of the node, and more than most have."""

_OVER: Final = ("COMPLETED", "CANCELLED")

OTHERS_SETTINGS: Final = warning(
    "configuration",
    "the node that runs is one of a cluster, and the settings looked at here are not its own",
    "its PostgreSQL and ZooKeeper are not looked at",
    "give what the node was started with: --config and the same TOCSIN_ variables",
)


class Call(Protocol):
    """Asks the node for an operation."""

    def __call__(self, operation: str, /, **arguments: Any) -> Any: ...


def of_node(call: Call, *, clustered: bool = False) -> Iterator[Finding]:
    """Its health, the scheduler's pause, the coordination, the nodes that it knows, and the tasks that none of them can run.

    clustered: whether the settings that were looked at are those of a cluster.
    """
    node, nodes, canaries = call("show_node"), call("list_nodes"), call("show_canaries")
    for complaint in node["health"]:
        yield bad("node", complaint, "tasks may start late", "see the node's log, and 'tocsin top'")
    if not node["health"]:
        yield good("node", f"{node['name']} is well")
    if not clustered and any(one["here"] and one["address"] for one in nodes["list"]):
        yield OTHERS_SETTINGS
    if node["scheduler"]["paused"]:
        yield warning("node", "the whole scheduler is paused", "nothing starts", "tocsin scheduler resume")
    coordination = nodes["coordination"]
    for what in ("gate", "problem"):
        if coordination[what]:
            why = "tasks do not start, or not on every node"
            yield bad("cluster", coordination[what], why, "docs/guides/cluster.md tells what holds when what fails")
    missing = coordination["partitions"] - coordination["owned"]
    if missing:
        why = "the tasks in them do not fire until somebody takes them over"
        yield warning("cluster", f"{missing} partitions have no owner", why, "wait for a takeover, or start more nodes")
    for trouble in canaries.get("troubles", []):
        why = "tasks that only tell whether tasks run do not run as they should"
        yield bad("canaries", trouble, why, "tocsin status, and 'tocsin task why' of a canary")
    for one in nodes["list"]:
        yield from of_peer(one, node["name"])
    yield from of_types(call, nodes["list"])


def of_peer(one: Mapping[str, Any], here: str) -> Iterator[Finding]:
    """One node as the one that answers knows it."""
    name = one["name"]
    if one["state"] in ("dead", "suspect"):
        why = "the others have its work to do, and one less may fail"
        yield warning("cluster", f"{name} is {one['state']}", why, "start it again; if it is gone for good, do nothing")
        return
    if name != here and one["offsetMs"] is not None:
        yield offset_finding(f"node {name}", one["offsetMs"] / 1000)
    ours = versions()["tocsin"]
    if one["version"] and one["version"] != ours:
        why = "what one of them can do, the other may not"
        yield warning("versions", f"{name} runs {one['version']}, this is {ours}", why, "update one of them")
    if one["timezoneDatabase"] and one["timezoneDatabase"] != database_version():
        what = f"{name} has the zones of {one['timezoneDatabase']}, this is {database_version()}"
        why = "where clocks have changed by law, a task's time depends on the node that owns it"
        yield warning("time zones", what, why, "install the same tzdata everywhere")


def of_types(call: Call, nodes: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """The tasks whose type no node that is alive has loaded."""
    alive = [one["name"] for one in nodes if one["state"] == "alive"]
    if len(alive) > 1:
        known = {name for node in alive for name in call("show_member", node=node)["types"]}
    else:
        known = {one["name"] for one in call("list_types")["list"]}
    for task in call("list_tasks", limit=MOST_LOOKED_AT)["list"]:
        missing = task["taskType"] not in known and task["taskType"] not in OWN_TYPES
        if missing and task["status"] not in _OVER:
            yield warning(
                "tasks",
                f"{task['name']} has the type {task['taskType']}, which no node has",
                "its times come and nobody can run it",
                f"give its file to 'tocsin up'; or if it is over, 'tocsin task cancel {task['itemId']}'",
            )
