"""What tokens and the audit log take and answer."""

from __future__ import annotations

from typing import Final

from actors.model.task import MAX_NAME

from ...access.caller import Role
from .given import SPAN
from .parts import (
    BOOLEAN,
    INSTANT,
    OBJECT,
    TEXT,
    Schema,
    about,
    choice,
    closed,
    listed,
    nullable,
    page,
    whole,
    whole_list,
)

_WORD: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}

ACCESS_BODIES: Final[dict[str, Schema]] = {
    "add_token": closed(
        {"name": _WORD, "role": choice(Role)},
        {
            "user": about(nullable(_WORD), "who acts with it; the name if not said"),
            "tenant": about(nullable({"type": "string", "maxLength": MAX_NAME}), "null: all tenants"),
            "own": about(nullable(BOOLEAN), "it sees the user's own tasks only"),
            "expiresIn": about(nullable(SPAN), "a second to ten years; it does not expire if not said"),
        },
    )
}

_TOKEN: Final[dict[str, Schema]] = {
    "id": TEXT,
    "name": TEXT,
    "user": TEXT,
    "tenant": about(nullable(TEXT), "null: all tenants"),
    "own": about(BOOLEAN, "it sees the user's own tasks only"),
    "role": choice(Role),
    "createdAt": INSTANT,
    "createdBy": TEXT,
    "expiresAt": nullable(INSTANT),
    "lastUsedAt": nullable(INSTANT),
    "revokedAt": nullable(INSTANT),
}

_AUDIT: Final = closed(
    {
        "sequence": whole(),
        "at": INSTANT,
        "actor": TEXT,
        "action": TEXT,
        "taskId": nullable(TEXT),
        "detail": TEXT,
        "tenant": TEXT,
        "origin": about(nullable(OBJECT), "from where: channel, address, id of the token, as far as they are known"),
        "change": about(nullable(OBJECT), "what was changed, before and after; without what may be secret"),
        "chain": about(nullable(whole()), "null: from before there were chains"),
        "number": whole(),
        "hash": TEXT,
    }
)

ACCESS_ANSWERS: Final[dict[str, Schema | None]] = {
    "list_tokens": whole_list(closed(_TOKEN)),
    "add_token": closed({**_TOKEN, "token": about(TEXT, "the secret: it is told this once")}),
    "revoke_token": None,
    "list_audits": page(_AUDIT),
    "verify_audits": closed(
        {
            "intact": BOOLEAN,
            "records": whole(),
            "faults": listed(TEXT),
            "seal": about(TEXT, "keep it elsewhere: a later verification can say whether the log still contains it"),
        }
    ),
}

_WHO: Final[dict[str, Schema]] = {
    "user": TEXT,
    "tenant": nullable(TEXT),
    "own": BOOLEAN,
    "role": nullable(choice(Role)),
    "csrf": about(
        nullable(TEXT), "goes into a header of requests that change something; null: no session, but a token"
    ),
}

SESSION_ANSWERS: Final[dict[str, Schema]] = {
    "log_in": closed({**_WHO, "expiresAt": nullable(INSTANT)}),
    "show_session": closed(_WHO),
    "add_ticket": closed({"ticket": TEXT, "path": TEXT, "seconds": {"type": "number"}}),
}
"""What the console's sessions answer; they are no operations of the table."""
