"""The leader's word in a cluster: who is a member, who holds which slot under which grant, and whether a cold start waits. Pure.

The plan is one node in the registry, written by the leader under a check on its own leadership. Holders are sessions, not
names: a node that has lost its session is another holder, and gets a new grant number even if it keeps its slots.
Grant numbers are generations of the plan: each plan that changes holders uses one number for all slots that it changes, higher
than any before it and higher than what any store has told of (`MemberRecord.floor`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from .assignment import assign
from .coordination_messages import Member


@attrs.frozen
class CoordinationSettings:
    """How a node takes part.

    min_nodes: a cold cluster waits for so many nodes before anything is assigned, at most gate_seconds (60 s: a machine's
    start). tick_seconds: the servers' tick (`tickTime`), by which they may notice a dead session late or early. poll_seconds: how
    often the time is looked at; an eighth of the smallest sensible session timeout.
    """

    min_nodes: int = 1
    gate_seconds: float = 60.0
    tick_seconds: float = 0.5
    poll_seconds: float = 0.25


@attrs.frozen
class MemberRecord:
    """What a node writes about itself. `session` is known from the node in the registry, not from its content.

    asked: it wants slots. floor: no grant number up to this one may be used. again: slots whose grants up to the given number are
    used up. timeout: its session's, seconds.
    """

    member: Member
    session: str = ""
    asked: bool = False
    floor: int = 0
    again: Mapping[int, int] = attrs.field(factory=dict)
    timeout: float = 0.0

    def encoded(self) -> bytes:
        """As it stands in the registry."""
        member = self.member
        return _json(
            {
                "again": sorted(self.again.items()),
                "asked": self.asked,
                "attributes": dict(member.attributes),
                "boot": member.boot,
                "floor": self.floor,
                "timeout": self.timeout,
                "weight": member.weight,
            }
        )


@attrs.frozen
class Seat:
    """Who is to hold a slot: a session, the name of its node, the number of the grant."""

    session: str
    name: str
    grant: int


@attrs.frozen
class Plan:
    """See the module's docstring. `members` by session."""

    leader: str = ""
    gate: str | None = None
    members: Mapping[str, Member] = attrs.field(factory=dict)
    seats: Mapping[int, Seat] = attrs.field(factory=dict)

    def encoded(self) -> bytes:
        """As it stands in the registry: seats by holder, so that a thousand slots take some twelve kilobytes."""
        holders: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for slot, seat in sorted(self.seats.items()):
            holders.setdefault((seat.session, seat.name), []).append((slot, seat.grant))
        return _json(
            {
                "gate": self.gate,
                "leader": self.leader,
                "members": [
                    [session, member.name, member.boot, member.weight, dict(member.attributes)]
                    for session, member in sorted(self.members.items())
                ],
                "seats": [[session, name, slots] for (session, name), slots in sorted(holders.items())],
            }
        )


def decode_member(name: str, data: bytes, session: str) -> MemberRecord | None:
    """What a node wrote about itself; None if nobody of ours wrote that."""
    try:
        found = json.loads(data)
        member = Member(found["boot"], name, int(found["weight"]), {k: str(v) for k, v in found["attributes"].items()})
        again = {int(slot): int(grant) for slot, grant in found["again"]}
        return MemberRecord(member, session, bool(found["asked"]), int(found["floor"]), again, float(found["timeout"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def decode_plan(data: bytes) -> Plan | None:
    """The leader's word; None if there is none yet, or nobody of ours wrote it."""
    try:
        found = json.loads(data)
        members = {
            session: Member(boot, name, int(weight), attributes)
            for session, name, boot, weight, attributes in found["members"]
        }
        seats = {
            int(slot): Seat(session, name, int(grant))
            for session, name, slots in found["seats"]
            for slot, grant in slots
        }
        return Plan(found["leader"], found["gate"], members, dict(sorted(seats.items())))
    except (ValueError, KeyError, TypeError):
        return None


def is_cold(plan: Plan, records: Iterable[MemberRecord]) -> bool:
    """Whether no slot has a holder that lives: a cluster that starts.

    A holder that has lost its session and goes on under its boot id lives: an outage of the servers is no cold start.
    """
    here = list(records)
    live = {record.session for record in here}
    boots = {record.member.boot for record in here}
    holders = {seat.session for seat in plan.seats.values()}
    former = {plan.members[session].boot for session in holders if session in plan.members}
    return live.isdisjoint(holders) and boots.isdisjoint(former)


def waits_for(plan: Plan, records: Iterable[MemberRecord], settings: CoordinationSettings) -> str | None:
    """What a cold start waits for, as a text without moving parts; None: it need not."""
    here = sum(record.asked for record in records)
    if here >= settings.min_nodes or not is_cold(plan, records):
        return None
    return (
        f"cold start: {here} of {settings.min_nodes} nodes are here; waits for the others {settings.gate_seconds:g} s"
    )


def next_plan(plan: Plan, records: Iterable[MemberRecord], leader: str, slots: int, gate: str | None) -> Plan:
    """The plan that follows from who is here. With a `gate` nothing is assigned.

    While nobody may hold slots, those that live keep what they have: there is nobody to give it to.
    """
    live = {record.session: record for record in records}
    members = {session: live[session].member for session in sorted(live)}
    seats = plan.seats
    if gate is None:
        weights = {record.member.name: record.member.weight for record in live.values() if record.asked}
        holders = {record.member.name: record.session for record in live.values()}
        assigned = assign(slots, weights, {slot: seat.name for slot, seat in plan.seats.items()})
        grants = [seat.grant for seat in plan.seats.values()]
        floors = [max(record.floor, *record.again.values(), 0) for record in live.values()]
        generation = max((*grants, *floors), default=0) + 1
        wanted = {slot: Seat(holders[name], name, generation) for slot, name in assigned.items()}
        seats = {slot: _seat(slot, seat, plan.seats.get(slot), live) for slot, seat in sorted(wanted.items())}
    return Plan(leader, gate, members, seats or plan.seats)


def _seat(slot: int, wanted: Seat, former: Seat | None, live: Mapping[str, MemberRecord]) -> Seat:
    """The former seat if its holder stays and its grant is not used up."""
    if former is None or former.session != wanted.session:
        return wanted
    used_up = live[former.session].again.get(slot, 0)
    return wanted if former.grant <= used_up else former


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
