"""One node's part in a cluster's coordination: which step with the registry comes next, and what the node is told. Pure.

Theory of operation. The core holds beliefs about the registry and compares them with what should be; whatever differs
first, in the order of `_next`, is the next step. At most one step is under way, beside it one probe. A step without an answer
(`Failed`) makes what it touched unknown, so it is looked at before anything else is built on it; `Connected` makes everything
unknown: it is read anew, not heard of by watches, which are lost by then.

    founded -> stands for leadership -> has its name -> has read the plan -> has read all owners -> takes, gives, leads

What holds:

- All writes are made under a check of the own candidacy, an ephemeral node whose name holds the session's id. So nothing that was
  decided in one session is carried out in another, and a lost reply is recognised by the id.
- Whoever gets no reply to writes does not go on at the pace of the connections that break: after a few, each pause doubles.
- A slot is told as granted only while this session has its owner node and the plan gives it to this session. A revoked slot's
  owner node stays until the node has said `Released`. An owner node that nobody here wants is removed: none is left behind.
- An ephemeral node of another session is never adopted, not even the node's own of an earlier life: it is waited for. Who has
  the own name and goes on writing, or outlives his session's timeout, is another node that lives: this one is barred.
- `Disconnected` drops nothing. `Lost` drops everything, at once.
- A probe's time of sending opens the trust window: two thirds of the timeout less the servers' tick. Without it this node does
  not lead.

Not guaranteed: that nobody else acts for a granted slot. A node that does not know yet that its session has ended believes in its
grants; the store's fence excludes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from . import coordination_steps as steps
from .coordination_messages import Barred, CoordinationEvent, Granted, Member, MembersChanged, Revoked, SessionLost
from .coordination_plan import CoordinationSettings, MemberRecord, Plan, next_plan, waits_for
from .coordination_session import Connections, Rival, Session
from .coordination_steps import CHANGES, LEADER, MEMBERS, PLAN, SLOTS, Directive, Event, Outcome, Step, member_path
from .registry_messages import Changed, Connected, Disconnected, Lost

BATCH: Final = 128
"""Slots in one transaction: two hundred steps of some fifty bytes stay far below what a server takes at once."""

TRUSTED_SHARE: Final = 2 / 3
"""Of the timeout less a tick: what is left covers a slow answer and clocks that run apart."""

PROBES_PER_TIMEOUT: Final = 8

BARRED_SECONDS: Final = 5.0
"""How often a barred node looks whether its name has become free; the watch tells it sooner."""


def other_cluster(found: str, own: str) -> str:
    """What is wrong where another cluster lives."""
    return f"the coordination service belongs to cluster {found!r}, this node to {own!r}"


class CoordinationCore:
    """See the module's docstring. Times are monotonic seconds."""

    def __init__(self, cluster_id: str, slots: int, settings: CoordinationSettings) -> None:
        self._cluster_id = cluster_id
        self._slots = slots
        self._settings = settings
        self._member: Member | None = None
        self._asked = False
        self._former: dict[int, int] = {}
        self._session: Session | None = None
        self._connected = False
        self._busy: Step | None = None
        self._meanwhile: set[str] = set()
        self._pause_until = 0.0
        self._connections = Connections()
        self._plan = Plan()
        self._plan_version = 0
        self._records: tuple[MemberRecord, ...] = ()
        self._gate_since: float | None = None
        self._rival: Rival | None = None
        self._problem: str | None = None
        self._told: dict[int, int] = {}
        self._leaving: set[int] = set()
        self._declined: dict[int, int] = {}
        self._told_members: tuple[Member, ...] | None = None
        self._floor = 0
        self._out: list[Directive] = []

    # -- what there is to see

    @property
    def session(self) -> str | None:
        """The id of the session, while it has not been lost."""
        return None if self._session is None else self._session.id

    @property
    def connected(self) -> bool:
        """A server answers."""
        return self._connected

    @property
    def problem(self) -> str | None:
        """Why this node does not take part."""
        return self._problem

    @property
    def plan(self) -> Plan:
        """The leader's word as last read."""
        return self._plan

    @property
    def guard(self) -> str | None:
        """The own candidacy, under whose check writes are made."""
        return None if self._session is None else self._session.candidacy

    def trusted(self, now: float) -> bool:
        """Whether the trust window is open."""
        return self._session is not None and self._session.entered and now < self._session.trusted_until

    def members(self) -> tuple[Member, ...]:
        """All live members as last heard, by name; empty for who takes no part."""
        if self._member is None:
            return ()
        return tuple(sorted(self._plan.members.values(), key=lambda member: member.name))

    def owners(self) -> dict[int, str]:
        """Slot to the name of its holder: for own slots as it is, for others' as planned."""
        session = self._session
        owners = {slot: seat.name for slot, seat in self._plan.seats.items() if seat.session in self._plan.members}
        if session is not None and self._member is not None:
            for slot, seat in self._plan.seats.items():
                if seat.session == session.id and slot not in session.held:
                    owners.pop(slot, None)
            owners.update(dict.fromkeys(session.held, self._member.name))
        return owners

    # -- deciding

    def handle(self, event: Event, now: float) -> list[Directive]:
        """Decide on one event."""
        self._out = []
        self._hear(event, now)
        self._tell_changes()
        self._proceed(now)
        return self._out

    def _hear(self, event: Event, now: float) -> None:
        match event:
            case Connected():
                self._connect(event, now)
            case Disconnected():
                self._connected = False
            case Lost():
                self._lose()
            case Changed(path=path):
                self._changed(path)
                self._meanwhile.add(path)
            case steps.Join(member=member):
                self._join(member)
            case steps.Request(former=former):
                self._former, self._asked = dict(former), True
                self._declined.clear()
            case steps.Released(slots=slots):
                self._released(slots)
            case steps.Describe(member=member):
                self._member = member if self._member is not None else None
            case steps.Leave():
                self._member, self._asked = None, False
                self._told.clear()
                self._leaving.clear()
            case steps.Done(step=step, outcome=outcome):
                self._done(step, outcome, now)
            case steps.Tick():
                if self._gate_since is not None and self._session is not None:
                    self._session.considered = False

    def _connect(self, connected: Connected, now: float) -> None:
        if self._session is not None and self._session.id != connected.session:
            self._lose()
        self._connected = True
        if self._session is None:
            self._session = Session(connected.session, connected.timeout_seconds)
        self._session.timeout = connected.timeout_seconds
        self._session.doubt()
        self._busy = None
        self._pause_until = now + self._connections.pause() * self._settings.poll_seconds

    def _lose(self) -> None:
        self._session = self._busy = self._rival = self._gate_since = None
        # The servers may have lost the plan; its numbers do not come again even then.
        self._floor = max(self._floor, *(seat.grant for seat in self._plan.seats.values()), 0)
        self._told.clear()
        self._leaving.clear()
        self._declined.clear()
        self._told_members = None
        if self._member is not None:
            self._tell(SessionLost())

    def _changed(self, path: str) -> None:
        session = self._session
        if session is None:
            return
        if path == PLAN:
            session.plan_known = False
        elif path in (MEMBERS, CHANGES):
            session.members_known = False
        elif path.startswith(f"{LEADER}/"):
            session.stood = False
        elif path.startswith(f"{SLOTS}/"):
            slot = int(path.split("/")[2])
            session.blocked.discard(slot)
            session.look.add(slot)
        elif self._member is not None and path == member_path(self._member.name):
            # Whoever has the name may be gone; an own node that is gone is found missing by the next probe.
            self._pause_until = 0.0

    def _join(self, member: Member) -> None:
        self._member, self._asked, self._former = member, False, {}
        self._told.clear()
        self._leaving.clear()
        self._declined.clear()
        self._told_members = None
        if self._problem is not None:
            self._tell(Barred(self._problem))

    def _released(self, slots: frozenset[int]) -> None:
        self._leaving -= slots
        for slot in slots & self._told.keys():
            # steps.Given up by the node itself: not taken again under this grant.
            self._declined[slot] = self._told.pop(slot)

    # -- what the plan means for this session

    def _mine(self) -> dict[int, int]:
        """The slots that the plan gives to this session and that the node has not declined, with their grants."""
        if self._session is None:
            return {}
        mine = self._session.id
        return {
            slot: seat.grant
            for slot, seat in self._plan.seats.items()
            if seat.session == mine and seat.grant > self._declined.get(slot, 0)
        }

    def _tell_changes(self) -> None:
        """Revoke what is no longer ours, grant what has become ours, tell of other members."""
        session = self._session
        if session is None or self._member is None or not session.entered:
            return
        if session.plan_known:
            members = self.members()
            if members and members != self._told_members:
                self._told_members = members
                self._tell(MembersChanged(members))
        if not (session.plan_known and session.owners_known):
            return
        mine = self._mine()
        if gone := {slot for slot in self._told if slot not in mine or slot not in session.held}:
            for slot in gone:
                del self._told[slot]
            self._leaving |= gone
            self._tell(Revoked(frozenset(gone)))
        granted = {
            slot: grant
            for slot, grant in mine.items()
            if self._asked
            and slot in session.held
            and slot not in self._leaving
            and self._told.get(slot) != grant
            and grant > self._former.get(slot, 0)
        }
        if granted:
            self._told.update(granted)
            self._tell(Granted(granted))

    # -- the next step

    def _proceed(self, now: float) -> None:
        session = self._session
        if session is None or not self._connected or self._member is None:
            return
        if self._busy is None and now >= self._pause_until and (step := self._next(session, self._member, now)):
            self._busy = step
            self._meanwhile.clear()
            self._out.append(step)
        if session.entered and session.candidacy and not session.probing and now >= session.next_probe:
            session.probing = True
            session.next_probe = now + session.timeout / PROBES_PER_TIMEOUT
            self._out.append(steps.Probe(self._member.name, session.data, session.candidacy))

    def _next(self, session: Session, member: Member, now: float) -> Step | None:
        if not session.founded:
            return steps.Found(self._cluster_id, self._slots)
        if self._problem is not None and self._rival is None:
            return None
        if session.candidacy is None or not session.stood:
            return steps.Stand(session.id)
        if not session.entered:
            session.data = self._record(session, member).encoded()
            return steps.Enter(member.name, session.data, session.candidacy)
        if not session.plan_known:
            return steps.ReadPlan()
        if not session.owners_known:
            return steps.ReadOwners(tuple(range(self._slots)), watch=False)
        return self._hold(session, session.candidacy) or self._speak(session, member, session.candidacy, now)

    def _hold(self, session: Session, guard: str) -> Step | None:
        """Owner nodes: remove what is not wanted, look at what is not known, make what is wanted."""
        mine = self._mine()
        unwanted = session.held - self._told.keys() - self._leaving - mine.keys()
        if unwanted:
            return steps.Give(_some(unwanted), guard, session.id)
        if session.look:
            return steps.ReadOwners(_some(session.look), watch=True)
        if self._asked and (wanted := mine.keys() - session.held - session.blocked - self._leaving):
            return steps.Take(_some(wanted), guard)
        return None

    def _speak(self, session: Session, member: Member, guard: str, now: float) -> Step | None:
        """Tell of oneself; lead."""
        data = self._record(session, member).encoded()
        if data != session.data or not session.told_data:
            session.data = data
            return steps.Write(member.name, data, guard)
        if session.predecessor is not None or not self.trusted(now):
            return None
        if not session.members_known:
            return steps.ReadMembers()
        if session.considered:
            return None
        session.considered = True
        plan = next_plan(self._plan, self._records, member.name, self._slots, self._gate(now))
        return None if plan == self._plan else steps.Publish(plan, guard, self._plan_version)

    def _gate(self, now: float) -> str | None:
        text = waits_for(self._plan, self._records, self._settings)
        if text is None:
            self._gate_since = None
            return None
        if self._gate_since is None:
            self._gate_since = now
        return text if now < self._gate_since + self._settings.gate_seconds else None

    def _record(self, session: Session, member: Member) -> MemberRecord:
        used_up = {slot: self._former[slot] for slot, grant in self._mine().items() if self._is_used_up(slot, grant)}
        floor = max(self._floor, *self._former.values(), 0)
        return MemberRecord(member, session.id, self._asked, floor, used_up, session.timeout)

    def _is_used_up(self, slot: int, grant: int) -> bool:
        """Whether the store would refuse a grant: it knows a higher one, or this one, and the node does not act under it now."""
        known = self._former.get(slot, 0)
        return grant < known or (grant == known and self._told.get(slot) != grant)

    # -- what became of steps

    def _done(self, step: Step, outcome: Outcome, now: float) -> None:
        session = self._session
        if isinstance(outcome, steps.ANSWERED_WRITES):
            self._connections.answered()
        if isinstance(step, steps.Probe):
            self._probed(step, outcome)
        if step is not self._busy or session is None:
            return
        self._busy = None
        match outcome:
            case steps.Founded():
                session.founded = True
                self._judge(outcome)
            case steps.Stood(candidacy=candidacy, predecessor=predecessor):
                if session.predecessor is not None or candidacy != session.candidacy:
                    # Whoever led before may have written since.
                    session.plan_known = session.members_known = predecessor is not None and session.plan_known
                session.candidacy, session.predecessor, session.stood = candidacy, predecessor, True
            case steps.Entered():
                self._entered(session, outcome, now)
            case steps.PlanRead(plan=plan, version=version):
                self._plan, self._plan_version = plan, version
                session.plan_known, session.considered = True, False
            case steps.OwnersRead(owners=owners):
                self._owners(session, owners)
            case steps.Taken() | steps.Occupied() | steps.Given():
                self._moved(session, step, outcome)
            case steps.MembersRead(records=records):
                self._records = records
                session.members_known, session.considered = True, False
            case steps.Published(version=version):
                assert isinstance(step, steps.Publish)
                self._plan, self._plan_version = step.plan, version
            case steps.Outrun():
                session.plan_known = False
            case steps.Written():
                session.told_data = True
            case steps.Probed():
                pass
            case steps.Failed():
                self._failed(session, step, now)
            case steps.Denied(reason=reason):
                self._bar(reason)
                self._pause_until = now + BARRED_SECONDS
            case steps.Astray():
                session.doubt()
                session.candidacy = None
                session.told_data = False
        # A read whose answer is older than what was heard while it was under way.
        for path in self._meanwhile:
            self._changed(path)

    def _judge(self, found: steps.Founded) -> None:
        """Is this the cluster that the node belongs to?"""
        problem = None
        if found.cluster_id != self._cluster_id:
            problem = other_cluster(found.cluster_id, self._cluster_id)
        elif found.slots != self._slots:
            problem = f"the cluster was founded with {found.slots} partitions, this node is set to {self._slots}"
        if problem is not None:
            self._bar(problem)
        elif self._rival is None:
            self._problem = None

    def _bar(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._tell(Barred(problem))

    def _entered(self, session: Session, found: steps.Entered, now: float) -> None:
        assert self._member is not None
        if found.session == session.id:
            session.entered, session.told_data = True, False
            self._rival = self._problem = None
            return
        if self._rival is None or self._rival.session != found.session:
            patience = max(session.timeout, found.timeout) + 2 * self._settings.tick_seconds
            self._rival = Rival(found.session, found.version, now + patience)
        # Two writes: one may have been on its way from a process that is dead by now.
        if found.version >= self._rival.version + 2 or now >= self._rival.until:
            self._bar(f"another node that lives has the name {self._member.name!r}")
        barred = self._problem is not None
        self._pause_until = now + (BARRED_SECONDS if barred else self._settings.poll_seconds)

    def _owners(self, session: Session, owners: Mapping[int, str | None]) -> None:
        wanted = self._mine()
        session.owners_known = True
        for slot, owner in owners.items():
            session.held.discard(slot)
            if owner == session.id:
                session.held.add(slot)
            elif owner is not None and slot in wanted:
                # Read without a watch so far, or with one: then it is blocked until that tells.
                (session.blocked if slot in session.look else session.look).add(slot)
                continue
            session.look.discard(slot)
        session.look -= session.blocked

    def _moved(self, session: Session, step: Step, outcome: steps.Taken | steps.Occupied | steps.Given) -> None:
        assert isinstance(step, steps.Take | steps.Give)
        match outcome:
            case steps.Taken():
                session.held.update(step.slots)
            case steps.Given():
                session.held.difference_update(step.slots)
            case steps.Occupied():
                session.look.update(step.slots)

    def _failed(self, session: Session, step: Step, now: float) -> None:
        self._pause_until = now + self._settings.poll_seconds
        match step:
            case steps.Take() | steps.Give():
                session.look.update(step.slots)
            case steps.Publish():
                session.plan_known = False
            case steps.Write():
                session.told_data = False
            case _:
                pass

    def _probed(self, probe: steps.Probe, outcome: Outcome) -> None:
        session = self._session
        if session is None or probe.guard != session.candidacy:
            return
        session.probing = False
        match outcome:
            case steps.Probed(sent=sent):
                window = TRUSTED_SHARE * (session.timeout - self._settings.tick_seconds)
                session.trusted_until = max(session.trusted_until, sent + window)
            case steps.Astray():
                session.doubt()
                session.candidacy = None
                self._busy = None
            case _:
                pass

    def _tell(self, event: CoordinationEvent) -> None:
        self._out.append(steps.Tell(event))

    def check_invariants(self) -> None:
        """Raise AssertionError if a slot is told as granted that this session does not hold."""
        if not self._told:
            return
        assert self._session is not None, f"granted without a session: {self._told}"
        assert not self._told.keys() & self._leaving, f"granted and revoked: {self._told}, {self._leaving}"


def _some(slots: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(slots)[:BATCH])
