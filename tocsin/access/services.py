"""What the operations about tokens and the audit log do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from actors.model.retention import SYSTEM
from actors.store.access import AuditFilter, AuditRow, Token
from runtime.clock import DAY, SECOND, Instant, Micros
from runtime.errors import Forbidden, InvalidRequest

from ..operations.calls import Call
from ..vocabulary.fields import Fields, show, show_instant
from ..vocabulary.views import Json
from ..vocabulary.words import OWNER, TENANT
from .caller import Role
from .origin import read_json
from .secrets_core import ID_LENGTH, SECRET_BYTES, hashed, whole

if TYPE_CHECKING:
    from actors.node import Node

LONGEST: Final = Micros(3_660 * DAY)
"""Ten years; what shall last longer has no end."""

_SEAL: Final = re.compile(r"\d{1,18}:\d{1,18}:[0-9a-f]{0,64}")


async def list_tokens(node: Node, _call: Call) -> Json:
    """The tokens of the caller's tenant."""
    return {"list": [token_view(one) for one in await node.access.tokens(node.scope.tenant)]}


def token_view(token: Token) -> Json:
    """A token as it is shown: all but what was kept of its secret."""
    return {
        "id": token.id,
        "name": token.name,
        "user": token.user,
        "tenant": token.tenant,
        "own": token.own,
        "role": token.role,
        "createdAt": show_instant(token.created_at),
        "createdBy": token.created_by,
        "expiresAt": show_instant(token.expires_at),
        "lastUsedAt": show_instant(token.used_at),
        "revokedAt": show_instant(token.revoked_at),
    }


async def add_token(node: Node, call: Call) -> Json:
    """Make a token."""
    made = read_new(node, call)
    secret = node.world.secret(SECRET_BYTES)
    token = Token(
        node.world.new_id()[-ID_LENGTH:], hashed(secret), "token", *made[:5], node.world.now(), str(call.actor), made[5]
    )
    await node.access.add(token, call.actor)
    return token_view(token) | {"token": whole(token.id, secret)}


def read_new(node: Node, call: Call) -> tuple[str, str, str | None, bool, str, Instant | None]:
    """Name, user, tenant, whether it sees its own tasks only, role and end of the token that a body asks for."""
    fields = Fields(call["body"])
    name = OWNER.read(fields.take("name"), "name")
    given_user, tenant = fields.take("user"), fields.take("tenant")
    role, own = fields.choice("role", tuple(Role)), fields.flag("own")
    expires_in = fields.duration("expiresIn")
    fields.finish()
    user = OWNER.read(given_user, "user") if given_user is not None else name
    if user == SYSTEM or ":" in user:
        raise InvalidRequest(f"user: {show(user)} is the name of no person or program: the node itself acts under it")
    if role is None:
        raise InvalidRequest(f"role: required, one of {', '.join(Role)}")
    if expires_in is not None and not SECOND <= expires_in <= LONGEST:
        raise InvalidRequest("expiresIn: between a second and ten years")
    end = None if expires_in is None else Instant(node.world.now() + expires_in)
    wanted = None if tenant is None else str(TENANT.read(tenant, "tenant"))
    return str(name), str(user), _tenant_of(call, wanted, own, str(user)), bool(own), role.value, end


def _tenant_of(call: Call, wanted: str | None, own: bool | None, user: str) -> str | None:
    """The tenant of a new token: nobody gives more than he has."""
    scope = call.caller.scope
    if scope.owner is not None and (not own or user != scope.owner):
        raise Forbidden(
            "add_token: who sees only the own tasks makes tokens that see only these: own, and the same user"
        )
    if scope.tenant is None:
        return wanted
    if wanted not in (None, scope.tenant):
        raise Forbidden(f"add_token: this caller makes tokens of the tenant {scope.tenant!r} only")
    return scope.tenant


async def revoke_token(node: Node, call: Call) -> None:
    """Make a token worth nothing."""
    await node.access.revoke(call["token"], call.actor, node.scope)


async def list_audits(node: Node, call: Call) -> Json:
    """A page of the audit log of the caller's tenant; of who sees only his own tasks, what he did himself."""
    scope = node.scope
    actor = call["actor"] if scope.owner is None else scope.owner
    wanted = AuditFilter(
        scope.tenant, call["task"], actor, call["action"], call["since"], call["until"], call["offset"], call["limit"]
    )
    rows, total = await node.access.audits(wanted)
    page = {"offset": wanted.offset, "pageSize": wanted.limit, "totalSize": total}
    return {"list": [audit_view(row) for row in rows], **page}


def audit_view(row: AuditRow) -> Json:
    """A record as it is shown."""
    audit = row.audit
    return {
        "sequence": row.sequence,
        "at": show_instant(audit.at),
        "actor": audit.actor,
        "action": audit.action,
        "taskId": audit.task_id or None,
        "detail": audit.detail,
        "tenant": audit.tenant,
        "origin": read_json(audit.origin),
        "change": read_json(audit.change),
        "chain": row.chain,
        "number": row.number,
        "hash": row.hash,
    }


async def verify_audits(node: Node, call: Call) -> Json:
    """Whether the audit log is as it was written."""
    seal: str = call["seal"] or ""
    if not all(_SEAL.fullmatch(part) for part in seal.split()):
        raise InvalidRequest("seal: as an earlier verification answered it")
    found = await node.access.verify(seal)
    return {"intact": not found.faults, "records": found.records, "faults": list(found.faults), "seal": found.seal}


SERVICES: Final = (list_tokens, add_token, revoke_token, list_audits, verify_audits)
"""Joined to the table of services."""
