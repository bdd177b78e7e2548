"""Who may ask for what."""

from __future__ import annotations

import pytest

from actors.model.scope import EVERYTHING, Scope
from runtime.errors import Forbidden, InvalidRequest, Unauthenticated
from tocsin.access.caller import FIRST_ADMINISTRATOR, NOBODY, Caller, Role, caller_text, read_caller
from tocsin.access.permissions import ALLOWED, check
from tocsin.operations.table import BY_NAME, OPERATIONS, Operation

RANK = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMINISTRATOR: 3}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize("role", [None, *Role])
def test_a_role_may_do_what_the_table_says(operation: Operation, role: Role | None) -> None:
    caller = Caller("ada", EVERYTHING, role)
    if operation.permission == "none":
        check(operation, caller)
    elif role is None:
        with pytest.raises(Unauthenticated):
            check(operation, caller)
    elif role in ALLOWED[operation.permission]:
        check(operation, caller)
    else:
        with pytest.raises(Forbidden, match=f"needs the role {ALLOWED[operation.permission][0]}"):
            check(operation, caller)


def test_each_role_may_do_what_the_one_below_may() -> None:
    for permission, roles in ALLOWED.items():
        least = min(RANK[role] for role in roles if role in RANK)
        assert {role for role in RANK if RANK[role] >= least} <= set(roles), permission
    assert [permission for permission, roles in ALLOWED.items() if Role.WORKER in roles] == ["worker"]


def test_what_concerns_all_tenants_is_not_for_one() -> None:
    ada = Caller("ada", Scope("acme"), Role.ADMINISTRATOR)
    check(BY_NAME["pause_scheduler"], FIRST_ADMINISTRATOR)
    check(BY_NAME["pause_task"], ada)
    with pytest.raises(Forbidden, match="acme"):
        check(BY_NAME["pause_scheduler"], ada)


@pytest.mark.parametrize("caller", [NOBODY, FIRST_ADMINISTRATOR, Caller("ä", Scope("t", "ä"), Role.WORKER, "id", True)])
def test_a_caller_travels_as_he_is(caller: Caller) -> None:
    assert read_caller(caller_text(caller)) == caller


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "[1,null,null,null,null,false]", '["a",null,null,"root",null,false]'),
        *('["a",1,1,null,1,false]', '["a",null,null,null,null,1]', '["a",null,null,null,null]'),
    ],
)
def test_a_caller_that_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_caller(text)
