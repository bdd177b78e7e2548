"""`tocsin node`, `executor`, `partition`, `fence`: the nodes of a cluster and what they own."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from runtime.errors import Conflict

from .connection import connect
from .output import AS_JSON, print_facts, print_json, print_table, printable
from .progress import working

if TYPE_CHECKING:
    from ..client import Client

LOOK_SECONDS: Final = 0.5
"""How often a drain is looked at: a partition changes hands in less than a second."""

Json = Annotated[bool, AS_JSON]
Flag = Parameter(negative=())

nodes = App(name="node", help="The nodes of the cluster: who is there, what they carry, draining.")
partitions = App(name="partition", help="Partitions: who owns them.")
fence = App(name="fence", help="The fence against former owners.")


@nodes.command(name="list")
def list_nodes(*, as_json: Json = False) -> None:
    """List the nodes; the leader has a star."""
    found = connect().call("list_nodes")
    if as_json:
        print_json(found)
        return
    columns = ("Node", "State", "Executor", "Running", "Slots", "Partitions", "Offset", "Version")
    print_table(columns, [_row(node) for node in found["list"]])
    coordination = found["coordination"]
    for what in ("gate", "problem"):
        if coordination[what]:
            print(printable(f"{what.capitalize()}: {coordination[what]}"))
    missing = coordination["partitions"] - coordination["owned"]
    if missing:
        print(f"{missing} of {coordination['partitions']} partitions have no owner now.")


def _row(node: dict[str, Any]) -> tuple[object, ...]:
    return (
        f"{node['name']}{'*' if node['leader'] else ''}",
        node["state"],
        _on_off(node["executor"]),
        node["running"],
        node["slots"],
        node["partitions"],
        _offset(node["offsetMs"]),
        node["version"] or None,
    )


def _on_off(on: bool) -> str:
    return "on" if on else "off"


def _offset(milliseconds: float | None) -> str | None:
    return None if milliseconds is None else f"{milliseconds:+.1f} ms"


@nodes.command(name="show")
def show_node(name: str | None = None, /, *, as_json: Json = False) -> None:
    """Show one node in full.

    Parameters
    ----------
    name
        The one that answers, if not said.
    """
    found = connect().call("show_member", node=name or _here())
    if as_json:
        print_json(found)
        return
    owned = ", ".join(str(number) for number in found["owned"])
    print_facts(
        [
            ("Node", found["name"]),
            ("State", found["state"]),
            ("Leader", "yes" if found["leader"] else "no"),
            ("Executor", _on_off(found["executor"])),
            ("Running", f"{found['running']} of {found['slots']} slots, {found['free']} free"),
            ("Links at", found["address"] or None),
            ("Clock", _offset(found["offsetMs"])),
            ("Labels", ", ".join(f"{key}={value}" for key, value in found["labels"].items()) or None),
            ("Types", ", ".join(found["types"])),
            ("Version", found["version"] or None),
            ("Zones", found["timezoneDatabase"] or None),
            ("Boot", found["boot"]),
            ("Owns", f"{found['partitions']} partitions{': ' if owned else ''}{owned}"),
        ]
    )


def _here() -> str:
    name: str = connect().call("show_node")["name"]
    return name


@nodes.command(name="drain")
def drain_node(
    name: str,
    /,
    *,
    undo: Annotated[bool, Flag] = False,
    wait: Annotated[bool, Flag] = False,
    as_json: Json = False,
) -> None:
    """Have a node take nothing new and give its partitions to the others; what runs there goes on.

    Parameters
    ----------
    undo
        Take part again.
    wait
        Until it owns nothing and runs nothing. Ctrl-C stops the waiting, not the drain.
    """
    client = connect()
    found = client.call("drain_node", node=name, undo=undo)
    if wait and not undo:
        found = _drained(client, name, as_json)
    words = "takes part again" if undo else f"drains: {found['running']} executions run there"
    print_json(found) if as_json else print(printable(f"{found['name']} {words}"))


def _drained(client: Client, name: str, as_json: bool) -> dict[str, Any]:
    """The node when it owns and runs nothing any more."""
    with working(as_json) as show:
        first: int | None = None
        while True:
            found: dict[str, Any] = client.call("show_member", node=name)
            left = found["partitions"] + found["running"]
            first = left if first is None else max(first, left)
            if not left or found["state"] != "draining":
                return found
            text = f"{name}: {found['partitions']} partitions and {found['running']} executions are left"
            show(text, first - left, first)
            time.sleep(LOOK_SECONDS)


def executor(switch: Literal["on", "off"] | None = None, /, *, node: str | None = None, as_json: Json = False) -> None:
    """Show whether a node takes executions, or switch it: with off it starts nothing new, and what runs goes on.

    Parameters
    ----------
    node
        Which; the one that answers, if not said.
    """
    name = node or _here()
    if switch is None:
        found = connect().call("show_member", node=name)
    else:
        found = connect().call("switch_executor", node=name, on=switch == "on")
    words = f"the executor of {found['name']} is {_on_off(found['executor'])}, {found['running']} executions run"
    print_json(found) if as_json else print(printable(words))


@partitions.command(name="list")
def list_partitions(*, as_json: Json = False) -> None:
    """List the partitions with owner and epoch."""
    found = connect().call("list_partitions")
    if as_json:
        print_json(found)
    else:
        rows = [(one["number"], one["owner"], one["epoch"]) for one in found["list"]]
        print_table(("Partition", "Owner", "Epoch"), rows)


@fence.command(name="raise")
def raise_fence(*, yes: Annotated[bool, Flag] = False, as_json: Json = False) -> None:
    """After a loss of authority: lift the fence of every partition above all that was ever handed out, and go on.

    Only when the coordination service or the store was restored or wiped on purpose: who still runs under an older fence
    is cut off by it.

    Parameters
    ----------
    yes
        Do not ask.
    """
    if not yes:
        if not sys.stdin.isatty():
            raise Conflict("raising the fence cuts off whoever runs under an older one: say --yes")
        if input("Raise the fence of every partition? Type yes: ") != "yes":
            raise Conflict("the fence was not raised")
    found = connect().call("raise_fence")
    print_json(found) if as_json else print(f"the fence of {found['raised']} partitions was raised")


nodes.command(executor)
