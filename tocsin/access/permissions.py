"""Whether a caller may ask for an operation: the one rule, read from the table of operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.errors import Forbidden, Unauthenticated

from ..operations.table import Operation, Permission
from .caller import Caller, Role

ALLOWED: Final[Mapping[Permission, tuple[Role, ...]]] = {
    "viewer": (Role.VIEWER, Role.OPERATOR, Role.ADMINISTRATOR),
    "operator": (Role.OPERATOR, Role.ADMINISTRATOR),
    "administrator": (Role.ADMINISTRATOR,),
    "worker": (Role.WORKER, Role.OPERATOR, Role.ADMINISTRATOR),
}
"""Permission of an operation -> the roles that have it, the least one first.

Whoever operates the cluster may also do a worker's part: he could run the work anyhow. A worker sees no tasks, for what he is
given with a piece of work is all that he needs.
"""


def check(operation: Operation, caller: Caller) -> None:
    """Raise Unauthenticated if nobody asks for what somebody has to ask for, Forbidden if he may not."""
    if operation.permission == "none":
        return
    if caller.role is None:
        raise Unauthenticated("a bearer token is needed")
    roles = ALLOWED[operation.permission]
    if caller.role not in roles:
        raise Forbidden(f"{operation.name}: needs the role {roles[0]}; this token has the role {caller.role}")
    if operation.whole and caller.scope.tenant is not None:
        raise Forbidden(
            f"{operation.name}: concerns all tenants, and this caller belongs to the tenant {caller.scope.tenant!r}"
        )
