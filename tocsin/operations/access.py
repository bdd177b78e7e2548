"""The rows of the table of operations about who gets in, and what was done."""

from __future__ import annotations

from typing import Final

from runtime import errors

from .operation import BODY, CHANGE, FIND, INPUT, OFFSET, Argument, Operation, limit_of

ACCESS: Final = (
    Operation("list_tokens", "GET", "/tokens", "The tokens that were made, without their secrets", "administrator"),
    Operation(
        "add_token",
        "POST",
        "/tokens",
        "Make a token, which is told this once; body: name, user, role, tenant, own, expiresIn",
        "administrator",
        (BODY,),
        201,
        (*INPUT, errors.Conflict, *CHANGE),
    ),
    Operation(
        "revoke_token",
        "DELETE",
        "/tokens/{token}",
        "Make a token worth nothing, with the sessions that were begun with it",
        "administrator",
        (Argument("token", "path", "text", "id of a token", required=True),),
        204,
        (*FIND, *CHANGE),
    ),
    Operation(
        "list_audits",
        "GET",
        "/audits",
        "Who changed what, the newest first; all filters combine",
        "administrator",
        (
            Argument("task", "query", "text", "id of a task, also of one that is gone"),
            Argument("actor", "query", "text", "who it was"),
            Argument("action", "query", "text", "what was done, such as EditTask"),
            Argument("since", "query", "instant", "from this time on"),
            Argument("until", "query", "instant", "up to this time"),
            OFFSET,
            limit_of(50),
        ),
        errors=(*INPUT, errors.Conflict),
    ),
    Operation(
        "verify_audits",
        "GET",
        "/audits/verify",
        "Whether the audit log is as it was written, and what an earlier seal says of it",
        "administrator",
        (Argument("seal", "query", "text", "a seal that was answered earlier, which the log must still contain"),),
        errors=(*INPUT, errors.Conflict),
        whole=True,
    ),
)
