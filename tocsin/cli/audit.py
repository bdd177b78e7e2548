"""`tocsin audit`: who changed what, and whether the log of it is as it was written."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App

from runtime.errors import StoreDamaged

from .connection import connect
from .output import AS_JSON, LOCAL, print_json, print_table, printable, show_time

Json = Annotated[bool, AS_JSON]

audits = App(name="audit", help="The audit log: who changed what.")


@audits.command(name="list")
def list_audits(
    *,
    task: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    limit: int = 50,
    offset: int = 0,
    utc: Annotated[bool, LOCAL] = False,
    as_json: Json = False,
) -> None:
    """List the records, the newest first.

    Parameters
    ----------
    task
        Only of the task with this id, which may be gone.
    actor
        Only what this one did.
    action
        Only such changes: EditTask, AddToken.
    limit
        So many at most.
    offset
        So many are passed over.
    """
    wanted: dict[str, Any] = {"task": task, "actor": actor, "action": action, "limit": limit, "offset": offset}
    found = connect().call("list_audits", **wanted)
    if as_json:
        print_json(found)
        return
    columns = ("When", "Who", "From", "What", "Task", "Detail", "Tenant")
    print_table(columns, [_row(one, utc) for one in found["list"]])
    print(f"{len(found['list'])} of {found['totalSize']} record(s)")


def _row(record: dict[str, Any], utc: bool) -> tuple[object, ...]:
    return (
        show_time(record["at"], utc),
        record["actor"],
        " ".join((record["origin"] or {}).values()) or None,
        record["action"],
        record["taskId"],
        record["detail"] or None,
        record["tenant"] or None,
    )


@audits.command(name="verify")
def verify_audits(*, seal: str | None = None, as_json: Json = False) -> None:
    """Verify that no record was changed or removed since it was written. Exit code 11 if one was.

    Parameters
    ----------
    seal
        What an earlier verification printed: the log must still contain what it had then.
    """
    found = connect().call("verify_audits", seal=seal)
    if as_json:
        print_json(found)
    elif found["intact"]:
        print(f"{found['records']} record(s), as they were written. Seal, to be kept elsewhere:")
        print(printable(found["seal"] or "(no record yet)"))
    if not found["intact"]:
        raise StoreDamaged("the audit log is not as it was written: " + "; ".join(found["faults"]))
