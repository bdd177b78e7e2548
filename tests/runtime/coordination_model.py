"""A registry as a dictionary that carries out whole steps at once, for `coordination_core` alone: what is sent, carried out and
answered can be interleaved by hand."""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs

from runtime.coordination_core import CoordinationCore
from runtime.coordination_messages import CoordinationEvent, Granted, Member, Revoked, SessionLost
from runtime.coordination_plan import CoordinationSettings, Plan, decode_member, decode_plan
from runtime.coordination_steps import (
    CHANGES,
    LEADER,
    MEMBERS,
    PLAN,
    Astray,
    Describe,
    Done,
    Enter,
    Entered,
    Failed,
    Found,
    Founded,
    Give,
    Given,
    Join,
    MembersRead,
    Occupied,
    Outcome,
    Outrun,
    OwnersRead,
    PlanRead,
    Probe,
    Probed,
    Publish,
    Published,
    ReadMembers,
    ReadOwners,
    ReadPlan,
    Released,
    Request,
    Stand,
    Step,
    Stood,
    Take,
    Taken,
    Tell,
    Tick,
    Write,
    Written,
    member_path,
    owner_path,
)
from runtime.registry_messages import Changed, Connected, Disconnected, Lost

TIMEOUT = 4.0


@attrs.define
class Entry:
    data: bytes = b""
    version: int = 0
    session: str | None = None


class Servers:
    """The tree, its sessions and its watches. `passed_on`: what is told to whom."""

    def __init__(self, cluster_id: str = "c1", slots: int = 4) -> None:
        self.cluster_id = cluster_id
        self.slots = slots
        self.tree: dict[str, Entry] = {PLAN: Entry(), CHANGES: Entry()}
        self.live: dict[str, ModelNode] = {}
        self.watches: dict[str, set[str]] = {}
        self.numbers = 0

    def watch(self, session: str, path: str) -> None:
        self.watches.setdefault(path, set()).add(session)

    def touch(self, *paths: str) -> None:
        for path in paths:
            for session in sorted(self.watches.pop(path, ())):
                if session in self.live:
                    self.live[session].inbox.append(Changed(path))

    def put(self, path: str, session: str, data: bytes = b"") -> None:
        self.tree[path] = Entry(data, 0, session)
        self.touch(path, path.rpartition("/")[0])

    def remove(self, path: str) -> None:
        del self.tree[path]
        self.touch(path, path.rpartition("/")[0])

    def write(self, path: str, data: bytes) -> None:
        self.tree[path] = attrs.evolve(self.tree[path], data=data, version=self.tree[path].version + 1)
        self.touch(path)

    def end(self, session: str) -> None:
        """The session is over: its nodes go."""
        self.live.pop(session, None)
        for path in [path for path, entry in self.tree.items() if entry.session == session]:
            self.remove(path)

    def below(self, path: str) -> list[str]:
        return sorted(other for other in self.tree if other.rpartition("/")[0] == path)

    def carry_out(self, step: Step, session: str) -> Outcome:
        """What a server does with a step that arrives in a session."""
        if session not in self.live:
            return Failed()
        guard = getattr(step, "guard", None)
        if guard is not None and guard not in self.tree:
            return Astray()
        match step:
            case Found():
                return Founded(self.cluster_id, self.slots)
            case Stand():
                return self._stand(session)
            case Enter(name=name, data=data):
                path = member_path(name)
                if path not in self.tree:
                    self.put(path, session, data)
                self.watch(session, path)
                entry = self.tree[path]
                record = decode_member(name, entry.data, entry.session or "")
                return Entered(entry.session or "", entry.version, record.timeout if record else 0.0)
            case ReadPlan():
                self.watch(session, PLAN)
                return PlanRead(decode_plan(self.tree[PLAN].data) or Plan(), self.tree[PLAN].version)
            case ReadOwners(slots=slots, watch=watch):
                for slot in slots if watch else ():
                    self.watch(session, owner_path(slot))
                found = {slot: self.tree.get(owner_path(slot)) for slot in slots}
                return OwnersRead({slot: None if entry is None else entry.session for slot, entry in found.items()})
            case Take(slots=slots):
                if any(owner_path(slot) in self.tree for slot in slots):
                    return Occupied()
                for slot in slots:
                    self.put(owner_path(slot), session)
                return Taken()
            case Give(slots=slots):
                for slot in slots:
                    if (entry := self.tree.get(owner_path(slot))) is not None and entry.session == step.session:
                        self.remove(owner_path(slot))
                return Given()
            case _:
                return self._speak(step, session)

    def _speak(self, step: Step, session: str) -> Outcome:
        match step:
            case ReadMembers():
                self.watch(session, MEMBERS)
                self.watch(session, CHANGES)
                found = [(path, self.tree[path]) for path in self.below(MEMBERS)]
                records = [decode_member(path.rpartition("/")[2], at.data, at.session or "") for path, at in found]
                return MembersRead(tuple(record for record in records if record is not None))
            case Publish(plan=plan, version=version):
                if self.tree[PLAN].version != version:
                    return Outrun()
                self.write(PLAN, plan.encoded())
                return Published(version + 1)
            case Write(name=name, data=data):
                self.write(member_path(name), data)
                self.write(CHANGES, b"")
                return Written()
            case Probe(name=name, data=data):
                self.write(member_path(name), data)
                return Probed(self.live[session].now)
            case _:
                raise AssertionError(step)

    def _stand(self, session: str) -> Stood:
        order = sorted(self.below(LEADER), key=lambda path: path.rpartition("-")[2])
        mine = next((path for path in order if path.startswith(f"{LEADER}/{session}-")), None)
        if mine is None:
            mine = f"{LEADER}/{session}-{self.numbers:010}"
            self.numbers += 1
            self.put(mine, session)
            order.append(mine)
        place = order.index(mine)
        if place:
            self.watch(session, order[place - 1])
        return Stood(mine, order[place - 1] if place else None)


class ModelNode:
    """A core with what it has sent and what it has not heard yet, each in order."""

    def __init__(self, servers: Servers, name: str, settings: CoordinationSettings) -> None:
        self.servers = servers
        self.name = name
        self.core = CoordinationCore("c1", servers.slots, settings)
        self.now = 0.0
        self.sessions = 0
        self.session: str | None = None
        self.outgoing: deque[tuple[str, Step]] = deque()
        self.inbox: deque[Any] = deque()
        self.told: list[CoordinationEvent] = []
        self.held: dict[int, int] = {}
        self.revoked: set[int] = set()
        self.highest: dict[int, int] = {}

    def join(self, former: dict[int, int] | None = None) -> None:
        self.feed(Join(Member(f"{self.name}-boot", self.name)))
        self.feed(Request(former or {}))

    def feed(self, event: Any) -> None:
        for directive in self.core.handle(event, self.now):
            if isinstance(directive, Tell):
                self._hear(directive.event)
            elif self.session is not None:
                self.outgoing.append((self.session, directive))
        self.core.check_invariants()

    def _hear(self, event: CoordinationEvent) -> None:
        self.told.append(event)
        match event:
            case Granted(grants=grants):
                for slot, grant in grants.items():
                    assert grant > self.highest.get(slot, 0), f"grant {grant} of slot {slot} was used before"
                    self.highest[slot] = grant
                self.held.update(grants)
                self.revoked -= grants.keys()
            case Revoked(slots=slots):
                self.revoked |= slots
            case SessionLost():
                self.held.clear()
                self.revoked.clear()
            case _:
                pass

    def connect(self) -> None:
        """Reach a server: the session goes on if it lives, and begins anew if not."""
        self.outgoing.clear()
        self.inbox.clear()
        if self.session is None or self.session not in self.servers.live:
            if self.session is not None:
                self.feed(Lost())
            self.sessions += 1
            self.session = f"{self.name}{self.sessions}"
            self.servers.live[self.session] = self
            self.feed(Connected(self.session, TIMEOUT, True))
        else:
            self.feed(Connected(self.session, TIMEOUT, False))

    def disconnect(self) -> None:
        """What is on its way is carried out or not; answers and watches are lost."""
        for watchers in self.servers.watches.values():
            watchers.discard(self.session or "")
        self.inbox.clear()
        self.feed(Disconnected())

    def send(self, *, lose_reply: bool = False) -> bool:
        """Have the servers carry out the oldest step that they have not seen yet."""
        if not self.outgoing:
            return False
        session, step = self.outgoing.popleft()
        outcome = self.servers.carry_out(step, session)
        self.inbox.append(Done(step, Failed() if lose_reply else outcome))
        return True

    def hear(self, *, overtake: bool = False) -> bool:
        """Hear what came first, or a watch that overtakes an answer: that was put together from several reads."""
        if not self.inbox:
            return False
        watches = [event for event in self.inbox if isinstance(event, Changed)]
        if overtake and watches:
            self.inbox.remove(watches[0])
            self.feed(watches[0])
        else:
            self.feed(self.inbox.popleft())
        return True

    def describe(self, weight: int) -> None:
        self.feed(Describe(Member(f"{self.name}-boot", self.name, weight)))

    def tick(self, seconds: float = 0.25) -> None:
        self.now += seconds
        self.feed(Tick())

    def release(self) -> None:
        """Give up what was revoked."""
        slots = frozenset(self.revoked)
        self.revoked.clear()
        for slot in slots:
            self.held.pop(slot, None)
        self.feed(Released(slots))

    def work(self) -> None:
        """Carry out and hear everything that is under way."""
        while self.send() or self.hear():
            pass


def settle(*nodes: ModelNode, rounds: int = 200) -> None:
    """Let time pass for all until nothing is to be done."""
    for _ in range(rounds):
        for node in nodes:
            node.work()
            if node.revoked:
                node.release()
            node.work()
            node.tick()
