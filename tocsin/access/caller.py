"""Who asks for something, as every channel tells it to the operations."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final

import attrs

from actors.model.scope import EVERYTHING, Scope
from runtime.errors import InvalidRequest


class Role(StrEnum):
    """What somebody may ask for. Each of the first three may do what the one before may.

    A worker may do nothing but take work from the queue and give back results.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"
    WORKER = "worker"


@attrs.frozen
class Caller:
    """Who asks: the user, what of the tasks is his to see, his role (None: nobody), and the token that he showed, if any.

    narrowed: he sees all tenants, and this request is about one of them.
    """

    user: str = ""
    scope: Scope = EVERYTHING
    role: Role | None = None
    token: str | None = None
    narrowed: bool = False

    @property
    def tenant(self) -> str | None:
        """The tenant that he belongs to; None for all."""
        return self.scope.tenant

    @property
    def is_root(self) -> bool:
        """Whether he is an administrator of all tenants, whichever this request is about."""
        return self.role is Role.ADMINISTRATOR and (self.tenant is None or self.narrowed)


NOBODY: Final = Caller()
"""Who showed no token: he may ask for what anybody may."""

FIRST_ADMINISTRATOR: Final = Caller("administrator", EVERYTHING, Role.ADMINISTRATOR)
"""Who has the token of the data directory."""


def caller_text(caller: Caller) -> str:
    """A caller as he travels to another node."""
    scope = caller.scope
    parts = (caller.user, scope.tenant, scope.owner, caller.role, caller.token, caller.narrowed)
    return json.dumps(parts)


def read_caller(text: str) -> Caller:
    """A caller as another node told of him. Raises InvalidRequest."""
    try:
        *parts, narrowed = json.loads(text)
        user, tenant, owner, role, token = parts
        found = Role(role) if role is not None else None
    except (ValueError, TypeError):
        raise InvalidRequest("caller: not understood") from None
    if not isinstance(user, str) or not all(_is_text(part) for part in parts[1:]) or not isinstance(narrowed, bool):
        raise InvalidRequest("caller: not understood")
    return Caller(user, Scope(tenant, owner), found, token, narrowed)


def _is_text(part: Any) -> bool:
    return part is None or isinstance(part, str)
