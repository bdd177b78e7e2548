"""The entry of the command line: the tree of commands, and what becomes of errors."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, CycloptsError, Parameter

from runtime.errors import InvalidRequest, TocsinError

from ..operations.error_table import INTERNAL, UNREACHABLE_EXIT, row_of
from ..settings.places import CLUSTER_DATA
from .bodies import FilesRefused, with_option
from .completion import Shell, print_or_install
from .connection import about_tenant, cleanup, with_address
from .near_names import near_names
from .next_steps import next_step
from .options import Flag
from .output import AS_JSON, print_error, print_json, printable
from .typed import refusal, typed_by

INTERRUPTED_EXIT = 130
"""Exit code after Ctrl-C, as shells have it."""

TRACEBACK = "TOCSIN_TRACEBACK"
"""The variable that asks for the traceback of an error that nobody foresaw."""


def _version() -> str:
    from importlib import metadata

    return metadata.version("tocsin")


app = App(
    name="tocsin",
    help="Tocsin, a task scheduler: start a node with `tocsin up`, give it work with `tocsin task add`. With "
    "`--tenant NAME` before the command (or TOCSIN_TENANT), and a token of all tenants, it is about that tenant.",
    version=_version,
    default_parameter=Parameter(show_default=False),
)
_ELSEWHERE: Final = {
    "task": "tasks:tasks",
    "cron": "previews:cron",
    "trigger": "previews:triggers",
    "calendar": "calendars:calendars",
    "token": "token:tokens",
    "audit": "audit:audits",
    "scheduler": "lanes:scheduler",
    "lock": "lanes:locks",
    "queue": "lanes:queues",
    "execution": "lanes:executions",
    "type": "lanes:types",
    "node": "nodes:nodes",
    "partition": "nodes:partitions",
    "fence": "nodes:fence",
    "executor": "nodes:executor",
    "drill": "drill:drill",
    "rehearse": "rehearse:rehearse",
    "status": "lanes:status",
    "invoke": "invoke:invoke",
    "events": "events:events",
    "import": "imports:imports",
    "apply": "plans:apply",
    "diff": "plans:diff",
    "export": "plans:export",
    "purge": "purge:purge",
}
"""Command -> where it is. Only the file of the one that was typed is loaded: a command should be there when the key is up."""

for command, place in _ELSEWHERE.items():
    app.command(f"tocsin.cli.{place}", name=command)


@app.command
def up(
    *modules: str,
    data: Path | None = None,
    listen: str | None = None,
    config: Path | None = None,
    name: str | None = None,
    verbose: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Start a node and run until SIGTERM or Ctrl-C.

    Parameters
    ----------
    modules
        Modules or files with task handlers: examples/tasks.py, mypackage.jobs. They are loaded at the start: restart the node
        after a change.
    data
        The data directory; .tocsin if not said.
    listen
        HOST:PORT; port 0 takes a free one.
    config
        A TOML file; tocsin.toml of this directory if not said.
    name
        The node's name.
    verbose
        Log more.
    """
    from .up import run_node

    flags = {"data": data, "listen": listen, "name": name, "tasks": list(modules) or None}
    return run_node(config, flags, verbose)


@app.command
def cluster(
    *modules: str,
    nodes: int = 3,
    port: int = 7400,
    data: Path = Path(CLUSTER_DATA),
    zookeeper_servers: int = 1,
    config: Path | None = None,
    verbose: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Start a cluster for development: ZooKeeper, PostgreSQL and some nodes on this machine, until SIGTERM or Ctrl-C.

    Parameters
    ----------
    modules
        Modules or files with task handlers, for every node.
    nodes
        How many nodes; 3 if not said.
    port
        Where the first node listens, on loopback, 7400 if not said; the others follow. 0 takes free ones.
    data
        The directory of everything, .tocsin-cluster if not said: the nodes' data directories, the servers, the key that the
        nodes share.
    zookeeper_servers
        How many ZooKeeper servers: 1, 3 or 5; 1 if not said.
    config
        A TOML file for every node; what makes them a cluster is added.
    verbose
        Log more.
    """
    from ..development import Plan
    from .cluster import arguments, run

    return run(Plan(data.absolute(), nodes, port, zookeeper_servers, arguments(modules, config, verbose=verbose)))


@app.command
def console(
    *, shown: Annotated[bool, Parameter(name="--print", negative=())] = False, as_json: Annotated[bool, AS_JSON] = False
) -> int:
    """Open the console in a browser, logged in: prints an address that is good once, within a minute.

    Parameters
    ----------
    shown
        Only print the address.
    """
    from .console import open_console

    return open_console(shown, as_json)


@app.command(name="config")
def show_config(
    *,
    config: Path | None = None,
    data: Path | None = None,
    listen: str | None = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Show every setting: its value, where it came from, its unit and the reason for its default.

    Parameters
    ----------
    config
        A TOML file; tocsin.toml of this directory if not said.
    data
        As for `up`.
    listen
        As for `up`.
    """
    from ..settings.config import SETTINGS, load_config, shown

    loaded = load_config(os.environ, config, {"data": data, "listen": listen})
    rows = [
        (key, shown(key, loaded.config), loaded.origins[key], about["unit"], about["reason"])
        for key, about in ((key, field.metadata) for key, field in SETTINGS.items())
    ]
    if as_json:
        names = ("value", "origin", "unit", "reason")
        print_json({row[0]: dict(zip(names, row[1:], strict=True)) for row in rows})
    else:
        for key, value, origin, unit, reason in rows:
            print(printable(f"{key} = {value}   ({origin}; {unit})\n    {reason}"))


@app.command
def version(*, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """Show versions."""
    from ..services.node import versions

    found = versions()
    if as_json:
        print_json(found)
    else:
        print("\n".join(f"{name} {value}" for name, value in found.items()))


@app.command
def completion(shell: Shell | None = None, /, *, install: Annotated[bool, Flag] = False) -> None:
    """Print or install what a shell needs to complete commands and options: `eval "$(tocsin completion bash)"`.

    Parameters
    ----------
    shell
        The one that runs this, if not said.
    install
        Write it where the shell looks for it, and a line into its start-up file.
    """
    print_or_install(app, shell, install)


@app.command
def shell() -> int:
    """Type commands one after the other, with completion and history; the names of Karaf's shell work too."""
    from .shell import interact

    return interact(app, run)


@app.command
def top(*, once: Annotated[bool, Flag] = False, every: float = 1.0, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """Show the cluster live: nodes, what runs now, what is late, the actors of the node. q leaves, p stops it, arrows move.

    Parameters
    ----------
    once
        Print one picture and end.
    every
        Seconds between two looks; 1 if not said.
    """
    from .top import show_top

    show_top(once, as_json, every)


@app.command
def doctor(
    *,
    config: Path | None = None,
    data: Path | None = None,
    listen: str | None = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> int:
    """Look at all that a node needs, running or not, and say what to do; exit code 15 if something is bad.

    Parameters
    ----------
    config
        A TOML file; tocsin.toml of this directory if not said.
    data
        As for `up`.
    listen
        As for `up`.
    """
    from .doctor import run_doctor

    return run_doctor(config, {"data": data, "listen": listen}, as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Run the command line. Answers the exit code."""
    as_json, rest = "--json" in arguments, arguments
    try:
        with about_tenant(arguments) as rest, cleanup, near_names():
            return _dispatch(rest)
    except TocsinError as error:
        row = row_of(error)
        unreachable = type(error).__name__ == "NodeUnreachable"
        title = "Unreachable" if unreachable else row.title
        typed = isinstance(error, InvalidRequest) and not isinstance(error, FilesRefused)
        message = with_option(str(error)) if typed else str(error)
        print_error(title, "503" if unreachable else str(row.status), message, as_json)
        if not as_json:
            step = with_address(rest) if unreachable else ""
            step = step or next_step(error, message, typed_by(app, rest))
            print(printable(f"    try: {step}"), file=sys.stderr)
        return UNREACHABLE_EXIT if unreachable else row.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT
    except BrokenPipeError:
        # Whoever read the output has had enough; the interpreter must not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _bug(error, arguments, as_json)


def _bug(error: Exception, arguments: list[str], as_json: bool) -> int:
    """One line about an error that is not ours, its traceback only for those who ask."""
    hint = ""
    if "--verbose" in arguments or os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    else:
        hint = f" ({TRACEBACK}=1 shows where)"
    print_error(INTERNAL.title, str(INTERNAL.status), f"{type(error).__name__}: {error}{hint}", as_json)
    return INTERNAL.exit_code


def _dispatch(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        # By itself: what prints it otherwise takes longer to load than to print.
        print(_version())
        return 0
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    try:
        answer = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise refusal(app, arguments, error) from None
    sys.stdout.flush()
    return answer if isinstance(answer, int) and not isinstance(answer, bool) else 0
