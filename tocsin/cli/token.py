"""`tocsin token`: who gets in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App

from .connection import connect
from .options import Flag
from .output import AS_JSON, LOCAL, print_json, print_table, printable, show_time

Json = Annotated[bool, AS_JSON]

tokens = App(name="token", help="Tokens: who gets in, and what he may do.")


@tokens.command(name="list")
def list_tokens(*, utc: Annotated[bool, LOCAL] = False, as_json: Json = False) -> None:
    """List the tokens that were made. Their secrets are nowhere kept."""
    found = connect().call("list_tokens")
    if as_json:
        print_json(found)
        return
    columns = ("ID", "Name", "User", "Tenant", "Role", "Expires", "Last used", "State")
    print_table(columns, [_row(one, utc) for one in found["list"]])


def _row(token: dict[str, Any], utc: bool) -> tuple[object, ...]:
    tenant = "all" if token["tenant"] is None else token["tenant"] or "(none)"
    return (
        token["id"],
        token["name"],
        token["user"],
        f"{tenant}, own tasks" if token["own"] else tenant,
        token["role"],
        show_time(token["expiresAt"], utc),
        show_time(token["lastUsedAt"], utc),
        "revoked" if token["revokedAt"] else "good",
    )


@tokens.command(name="add")
def add_token(
    name: str,
    /,
    *,
    role: Literal["viewer", "operator", "administrator", "worker"],
    user: str | None = None,
    tenant: str | None = None,
    own: Annotated[bool, Flag] = False,
    expires: str | None = None,
    as_json: Json = False,
) -> None:
    """Make a token and show it, this once.

    Parameters
    ----------
    name
        What it is for.
    role
        What it may do: viewer, operator, administrator, or worker for the queue.
    user
        Whose it is, in the audit log and as the owner of tasks; the name if not said.
    tenant
        The tenant that it belongs to; all if not said.
    own
        It sees and changes only its user's own tasks.
    expires
        After this time it is worth nothing: 90d, 12h; never if not said.
    """
    wanted = {"name": name, "role": role, "user": user, "tenant": tenant, "own": own, "expiresIn": expires}
    made = connect().call("add_token", body={key: value for key, value in wanted.items() if value is not None})
    if as_json:
        print_json(made)
        return
    print(printable(f"Token {made['id']} for {made['user']}, {made['role']}. It is not shown again:"))
    print(made["token"])


@tokens.command(name="revoke")
def revoke_token(token: str, /, *, as_json: Json = False) -> None:
    """Make a token worth nothing, and the sessions that were begun with it.

    Parameters
    ----------
    token
        Its id, as the list shows it.
    """
    connect().call("revoke_token", token=token)
    print_json({"id": token, "revoked": True}) if as_json else print(printable(f"Token {token} is revoked."))
