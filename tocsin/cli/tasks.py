"""`tocsin task ...`: one command for each operation about tasks."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from runtime.errors import Conflict, InvalidRequest, NotFound

from ..shown import show as shown
from .bodies import beside_body, parameters_body, policies_body, trigger_body, unset_body
from .connection import connect
from .executions import print_execution, resumption_words
from .options import ANY_TIME, AS_USUAL, NOTHING_ELSE, Beside, Flag, How, Many, When
from .output import (
    AS_JSON,
    LOCAL,
    print_facts,
    print_json,
    printable,
    show_failure,
    show_place,
    show_time,
    shown_status,
)

if TYPE_CHECKING:
    from ..client import Client

tasks = App(name="task", help="Tasks: add, list, show, run, and all that can be done with them.")
tasks.command("tocsin.cli.task_list:list_", name="list")
tasks.command("tocsin.cli.purge:purge", name="purge")
for looking in ("history", "logs", "next_", "why", "deliveries"):
    tasks.command(f"tocsin.cli.history:{looking}", name=looking.rstrip("_"))

Json = Annotated[bool, AS_JSON]
Utc = Annotated[bool, LOCAL]
Type = Annotated[str | None, Parameter(name="--type", help="The task type; without it, a command after --.")]


def _say(task: dict[str, Any], as_json: bool, utc: bool, done: str) -> None:
    """The answer to a change: the task as JSON, or one line."""
    if as_json:
        print_json(task)
    else:
        following = show_time(task["nextScheduledExecution"], utc, zone=True)
        print(printable(f"{task['name']} ({task['itemId']}) {done}: {shown_status(task)}, next run {following}"))


@tasks.command
def add(
    name: str,
    /,
    *argv: Annotated[str, Parameter(help="A command and its arguments, after --.")],
    when: When = ANY_TIME,
    type_: Type = None,
    memory: Annotated[bool, Flag] = False,
    how: How = AS_USUAL,
    beside: Beside = NOTHING_ELSE,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Make a task: `tocsin task add backup --every 1h -- ./backup.sh --full`.

    Parameters
    ----------
    name
        1 to 128 printable characters, unique on the node.
    memory
        Keep the task in the node's memory only.
    """
    trigger = trigger_body(when)
    if trigger is None:
        raise InvalidRequest("say when: one of --every, --cron, --at, --in, --every-days and its kin")
    type_name, parameters = _what(type_, argv, parameters_body(beside.params))
    body = {
        "name": name,
        "taskType": type_name,
        "trigger": trigger,
        "parameters": parameters,
        "policies": policies_body(how),
        "persistent": not memory,
    }
    body = {key: value for key, value in body.items() if value is not None} | beside_body(beside)
    made = connect().call("add_task", body=body)
    _say(made, as_json, utc, "added, and runs at once because its time has passed" if _is_past(made) else "added")


@tasks.command
def edit(
    task: str,
    /,
    *,
    name: str | None = None,
    when: When = ANY_TIME,
    type_: Annotated[str | None, Parameter(name="--type", help="Another task type.")] = None,
    how: How = AS_USUAL,
    beside: Beside = NOTHING_ELSE,
    unset: Annotated[list[str] | None, Many] = None,
    if_version: int | None = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Change a task; what is not said stays. A trigger is given as a whole, and tags, labels and events as all there are.

    Parameters
    ----------
    name
        A new name.
    unset
        Take an option away: timeout, heartbeat-timeout, lateness-limit, max-wait, concurrency, ttl, strategy, depends-on, ...
    if_version
        Refuse if the task has another version by now.
    """
    body = {
        "name": name,
        "taskType": type_,
        "trigger": trigger_body(when),
        "parameters": parameters_body(beside.params),
        "policies": policies_body(how),
        "version": if_version,
    }
    given = {key: value for key, value in body.items() if value is not None} | beside_body(beside)
    _say(connect().call("edit_task", task=task, body=unset_body(given, unset)), as_json, utc, "changed")


def _is_past(task: dict[str, Any]) -> bool:
    at = task["trigger"].get("at") if task["trigger"]["kind"] == "once" else None
    return at is not None and datetime.fromisoformat(at) < datetime.fromisoformat(task["createdAt"])


def _what(type_name: str | None, argv: tuple[str, ...], parameters: Any) -> tuple[str, Any]:
    """The task type and parameters: those named, or a command's."""
    if not argv:
        if type_name is None:
            raise InvalidRequest("say what: --type TYPE, or a command after --")
        return type_name, parameters
    if type_name not in (None, "command"):
        raise InvalidRequest(f"a command after -- does not go with --type {type_name}")
    if parameters is not None and not isinstance(parameters, dict):
        raise InvalidRequest("--params: a JSON object")
    if len(argv) == 1 and " " in argv[0].strip() and "/" not in argv[0]:
        words = f"-- {argv[0].strip()}, or -- sh -c {shlex.quote(argv[0])}"
        raise InvalidRequest(
            f"-- {shown(argv[0])}: one word, which would be a program with a space in its name; write {words}"
        )
    # A command typed here means this directory, as it would without a scheduler.
    return "command", {"argv": list(argv), "cwd": str(Path.cwd())} | (parameters or {})


@tasks.command
def show(task: str, /, *, as_json: Json = False, utc: Utc = False) -> None:
    """Show a task in full, by id, unique prefix of an id, or name; or an execution, by its id."""
    client = connect()
    try:
        found = client.call("show_task", task=task)
    except NotFound as no_task:
        _show_execution(client, task, no_task, as_json, utc)
        return
    if as_json:
        print_json(found)
        return
    failure, retry = found["lastFailure"], found["retryAt"]
    print_facts(
        [
            ("ID", found["itemId"]),
            ("Name", found["name"]),
            ("Type", found["taskType"]),
            ("Status", shown_status(found)),
            ("State", found["phase"] + (f" ({found['note']})" if found["note"] else "")),
            ("Persistent", "Storage" if found["persistent"] else f"Memory of {found['node']}"),
            ("Trigger", found["triggerWords"]),
            ("Next run", show_time(found["nextScheduledExecution"], utc, zone=True)),
            ("Last run", show_time(found["lastExecutionDate"], utc, zone=True)),
            ("Last state", found["lastState"]),
            ("Waiting", retry and f"waiting for a retry at {show_time(retry, utc, zone=True)}"),
            ("Last failure", failure and show_failure(failure)),
            ("Failed", failure and show_place(failure)),
            ("Failures", found["failureCount"]),
            ("Runs", f"{found['completed']} completed, {found['failed']} failed"),
            ("Retries", f"{found['maxRetries']}, {found['policies']['retry']['delay']} apart"),
            ("Policies", _policy_words(found["policies"], found["policySources"])),
            ("Tags", ", ".join(found["tags"]) or None),
            ("Labels", ", ".join(f"{name}={value}" for name, value in found["labels"].items()) or None),
            ("Runs on", _placement_words(found["placement"])),
            ("Depends on", found["dependencies"] and _dependency_words(found["dependencies"], found["parents"])),
            ("Needed by", ", ".join(_relative_words(one) for one in found["children"]) or None),
            ("Events", ", ".join(event["name"] for event in found["events"]) or None),
            ("Parameters", found["parameters"]),
            ("Extra", found["extra"]),
            ("Step", found["currentStep"]),
            ("Details", found["statusDetails"] or None),
            (
                "Done by",
                (eta := found["statusDetails"].get("eta"))
                and f"{show_time(eta, utc, zone=True)}, if it goes on like that",
            ),
            ("Checkpoint", found["checkpointData"]),
            ("Resumption", _resumption(client, found)),
            ("Open", ", ".join(found["open"]) or None),
            ("Running on", ", ".join(found["runsOn"]) or None),
            ("Created", f"{show_time(found['createdAt'], utc, zone=True)} by {found['owner'] or 'nobody known'}"),
            ("Version", f"{found['version']}, revision {found['revision']}"),
        ]
    )


def _resumption(client: Client, found: dict[str, Any]) -> str | None:
    """What the newest attempt of a task that runs, waits or went wrong began with, or the next one will."""
    execution = found["open"][-1] if found["open"] else found["lastExecution"]
    if execution is None or (not found["open"] and found["lastState"] == "COMPLETED"):
        return None
    try:
        return resumption_words(client.call("show_execution", execution=execution))
    except NotFound:
        return None


def _show_execution(client: Client, reference: str, no_task: NotFound, as_json: bool, utc: bool) -> None:
    try:
        found = client.call("show_execution", execution=reference)
    except NotFound:
        raise no_task from None
    print_json(found) if as_json else print_execution(found, utc)


def _policy_words(policies: dict[str, Any], sources: dict[str, str]) -> str:
    """The policies that are not the default, with where they come from, then the others."""
    told = [
        (
            sources[key] == "default",
            f"{key} {_policy(value)}" + (f" ({sources[key]})" if sources[key] != "default" else ""),
        )
        for key, value in policies.items()
        if key != "retry" and value is not None
    ]
    return ", ".join(text for _, text in sorted(told, key=lambda one: one[0]))


def _policy(value: Any) -> str:
    return f"{value['key']} ({value['limit']} at once)" if isinstance(value, dict) else str(value)


def _placement_words(placement: dict[str, Any]) -> str | None:
    """Which nodes, and how one of them is chosen; nothing for any node."""
    named, labels = placement["nodes"] or (), placement["labels"] or {}
    words = {
        "any": "any node",
        "all": "all nodes",
        "nodes": ", ".join(named),
        "selector": f"nodes with {', '.join(f'{name}={value}' for name, value in labels.items())}",
    }[placement["on"]]
    if placement["strategy"]:
        return f"{words}, chosen by {placement['strategy']}"
    return None if placement["on"] == "any" else words


def _dependency_words(dependencies: dict[str, Any], parents: list[dict[str, Any]]) -> str:
    words = f"{dependencies['mode']} of {', '.join(_relative_words(parent) for parent in parents)}"
    return f"{words}, given up when it cannot complete" if dependencies["failFast"] else words


def _relative_words(one: dict[str, Any]) -> str:
    """A parent or child, and how it stands."""
    return f"{one['id']} (gone)" if one["name"] is None else f"{one['name']} ({one['status']})"


@tasks.command
def run(
    task: str,
    /,
    *,
    params: str | None = None,
    follow: Annotated[bool, Flag] = False,
    as_json: Json = False,
    utc: Utc = False,
) -> int:
    """Run a task now, whatever its trigger says.

    Parameters
    ----------
    params
        Parameters of this run as a JSON object, or @FILE.
    follow
        Show log and progress until it ends; the exit code tells how.
    """
    client = connect()
    parameters = parameters_body(params)
    body = None if parameters is None else {"parameters": parameters}
    try:
        execution = client.call("run_task", task=task, body=body)
    except Conflict as error:
        if " overlap is " not in str(error):
            raise
        raise Conflict(f"{error}; to follow that one: tocsin task logs {shlex.quote(task)} --follow") from None
    if follow:
        from .follow import follow as follow_execution

        return follow_execution(client, execution["id"], utc, as_json)
    if as_json:
        print_json(execution)
    else:
        print(f"execution {execution['id']} is {execution['state']}")
    return 0


@tasks.command
def cancel(task: str, /, *, as_json: Json = False, utc: Utc = False) -> None:
    """Cancel a task and what it runs; its record stays. An execution's id cancels that one only."""
    client = connect()
    try:
        found = client.call("show_task", task=task)
    except NotFound as no_task:
        try:
            cancelled = client.call("cancel_execution", execution=task)
        except NotFound:
            raise no_task from None
        print_json(cancelled) if as_json else print(f"execution {cancelled['id']} is {cancelled['state']}")
        return
    client.call("cancel_task", task=found["itemId"])
    _say(client.call("show_task", task=found["itemId"]), as_json, utc, "cancelled")
    if not as_json:
        print(printable(f"to begin anew: tocsin task activate {shlex.quote(found['name'])}"))


@tasks.command
def retry(task: str, /, *, reset: Annotated[bool, Flag] = False, as_json: Json = False, utc: Utc = False) -> None:
    """Run the last execution again, which has failed.

    Parameters
    ----------
    reset
        Count failures from 0 again.
    """
    _say(connect().call("retry_task", task=task, resetFailureCount=reset), as_json, utc, "is tried again")


@tasks.command
def resume(task: str, /, *, as_json: Json = False, utc: Utc = False) -> None:
    """Go on with an execution that is held after a crash."""
    _say(connect().call("resume_task", task=task), as_json, utc, "goes on")


@tasks.command
def pause(task: str, /, *, note: str | None = None, as_json: Json = False, utc: Utc = False) -> None:
    """Fire no more until activated.

    Parameters
    ----------
    note
        Why, for the others.
    """
    body = None if note is None else {"note": note}
    paused = connect().call("pause_task", task=task, body=body)
    _say(paused, as_json, utc, "paused")
    if not as_json:
        print(printable(f"to go on: tocsin task activate {shlex.quote(paused['name'])}"))


@tasks.command
def activate(
    task: str,
    /,
    *,
    when: When = ANY_TIME,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Go on after a pause, or begin anew, with another trigger if one is given."""
    trigger = trigger_body(when)
    body = None if trigger is None else {"trigger": trigger}
    _say(connect().call("activate_task", task=task, body=body), as_json, utc, "activated")


@tasks.command
def delete(task: str, /, *, yes: Annotated[bool, Flag] = False, as_json: Json = False) -> None:
    """Remove a task with its history, for good.

    Parameters
    ----------
    yes
        Do not ask.
    """
    client = connect()
    found = client.call("show_task", task=task)
    if not yes:
        if not sys.stdin.isatty():
            raise InvalidRequest(f"deleting {found['name']!r} removes its history: say --yes")
        if input(f"Delete {found['name']!r} ({found['itemId']}) with its history? [y/N] ").strip().lower() != "y":
            print("nothing was deleted")
            return
    client.call("cancel_task", task=found["itemId"], permanent=True)
    print_json({"deleted": found["itemId"]}) if as_json else print(f"{found['name']} ({found['itemId']}) deleted")
