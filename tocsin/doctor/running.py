"""What a node that runs says of itself and of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from actors.when.zones import database_version

from ..services.node import versions
from .findings import Finding, bad, good, warning
from .servers import offset_finding

Call = Callable[[str], Any]
"""Asks the node for an operation without arguments."""


def of_node(call: Call) -> Iterator[Finding]:
    """Its health, the scheduler's pause, the coordination, and the nodes that it knows."""
    node, nodes, canaries = call("show_node"), call("list_nodes"), call("show_canaries")
    for complaint in node["health"]:
        yield bad("node", complaint, "see the node's log, and 'tocsin top'")
    if not node["health"]:
        yield good("node", f"{node['name']} is well")
    if node["scheduler"]["paused"]:
        yield warning("node", "the whole scheduler is paused", "tocsin scheduler resume")
    coordination = nodes["coordination"]
    for what in ("gate", "problem"):
        if coordination[what]:
            yield bad("cluster", coordination[what], "docs/guides/cluster.md tells what holds when what fails")
    missing = coordination["partitions"] - coordination["owned"]
    if missing:
        yield warning("cluster", f"{missing} partitions have no owner", "wait for a takeover, or start more nodes")
    for trouble in canaries.get("troubles", []):
        yield bad("canaries", trouble, "tocsin status, and 'tocsin task why' of a canary")
    for one in nodes["list"]:
        yield from of_peer(one, node["name"])


def of_peer(one: Mapping[str, Any], here: str) -> Iterator[Finding]:
    """One node as the one that answers knows it."""
    name = one["name"]
    if one["state"] in ("dead", "suspect"):
        yield warning("cluster", f"{name} is {one['state']}", "start it again, or forget it: it is not waited for")
        return
    if name != here and one["offsetMs"] is not None:
        yield offset_finding(f"node {name}", one["offsetMs"] / 1000)
    ours = versions()["tocsin"]
    if one["version"] and one["version"] != ours:
        yield warning("versions", f"{name} runs {one['version']}, this is {ours}", "update one of them")
    if one["timezoneDatabase"] and one["timezoneDatabase"] != database_version():
        what = f"{name} has the zones of {one['timezoneDatabase']}, this is {database_version()}"
        yield warning("time zones", what, "install the same tzdata everywhere")
