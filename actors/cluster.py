"""What makes a node one of several: links, gossip, coordination, and the executions that nodes offer each other.

Two identities meet here. A process is known to the others by its `boot` at start, for links and gossip. What it claims in the
store it claims under the boot id of its lease, which is the same until a lease was buried; then it goes on under another.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, Protocol

import attrs
import trio

from runtime.clock import SECOND, Micros
from runtime.cluster_coordination import ClusterCoordination, CoordinationSettings
from runtime.codec import Codec
from runtime.coordination import CoordinationStatus
from runtime.coordination_messages import Member
from runtime.fabric import Fabric
from runtime.fabric_core import mark
from runtime.fabric_messages import Identity, Security, Tls
from runtime.registry import Registry
from runtime.supervisor import ChildSpec, TaskChild
from runtime.transport import Network
from runtime.world import World

from .addresses import hint
from .cluster_config import ClusterConfig
from .cluster_coordinator import ClusterCoordinator
from .cluster_coordinator_core import ZONES_ATTRIBUTE
from .cluster_coordinator_messages import Drain, Estranged
from .cluster_health import complaints, hindrances
from .gossip import Gossip
from .gossip_messages import Members
from .keeper import Keeper
from .keeper_places import ClusterPlaces
from .model.peer import Peer, Standing
from .peer_messages import MESSAGES, Call, Declined, Offer, Result
from .rules.placing import Placer
from .sharing_messages import Declined as KeeperDeclined
from .sharing_messages import Offered, PeersChanged, SendOffer, SharingDirective
from .store.shared import SharedStore

logger = logging.getLogger(__name__)

KEEPER: Final = "keeper"
"""The name at which a node hears what is offered to it."""

OPERATIONS: Final = "operations"
"""The name at which a node is asked to carry out operations on itself."""

FIRST_TAG: Final = 30
"""Of what nodes tell each other beside gossip; a tag never changes its meaning."""


@attrs.frozen
class Surroundings:
    """What a node of a cluster stands on: the store that it shares, the coordination servers, the network to its peers."""

    store: SharedStore
    registry: Registry
    network: Network


class Load(Protocol):
    """What a node's own figures are taken from."""

    def __call__(self) -> tuple[int, int, int]:
        """Slots, those that are free, and attempts under way."""
        ...


class Cluster:
    """See the module's docstring.

    `boot`: of this process. `types`: the task types that the node has. `version` and `timezone_database`: as others shall see
    them. `answer`: carries out what other nodes ask of this one; set by who can.
    """

    def __init__(
        self,
        config: ClusterConfig,
        surroundings: Surroundings,
        world: World,
        *,
        cluster_id: str,
        partitions: int,
        boot: str,
        types: Collection[str],
        placer: Placer,
        version: str,
        timezone_database: str,
    ) -> None:
        self.config = config
        self.boot = boot
        self.answer: Callable[[str, Call], Awaitable[Result]] | None = None
        self.store = surroundings.store
        self._world = world
        self._partitions = partitions
        self._types = frozenset(types)
        self._version = version
        self._timezone_database = timezone_database
        self._executor = config.executor
        self._draining = False
        self._drain_listeners: list[Callable[[bool], None]] = []
        self._load: Load = lambda: (0, 0, 0)
        self._peers: tuple[Peer, ...] = ()
        self._known: tuple[Member, ...] = ()
        self._estranged: str | None = None
        self._keeper: Keeper
        self._coordinator: ClusterCoordinator
        rhythm = config.rhythm
        limits = rhythm.links
        codec = Codec(limits.max_message, limits.max_frame)
        for tag, kind in enumerate(MESSAGES, FIRST_TAG):
            codec.register(tag, kind)
        self.fabric = Fabric(
            Identity(cluster_id, config.name, boot),
            surroundings.network,
            _security(config),
            limits,
            world,
            listen=config.listen,
            codec=codec,
        )
        self.gossip = Gossip("gossip", fabric=self.fabric, world=world, me=self.me(), config=rhythm.gossip)
        self.coordination = ClusterCoordination(
            surroundings.registry,
            world=world,
            slots=partitions,
            cluster_id=cluster_id,
            settings=CoordinationSettings(config.min_nodes, config.gate_seconds, poll_seconds=rhythm.poll_seconds),
        )
        self.places = ClusterPlaces(
            self.me, self._live, placer, Micros(round(config.offer_seconds * SECOND)), logger.warning
        )

    def connect(self, keeper: Keeper, coordinator: ClusterCoordinator, load: Load) -> None:
        """Say whose keeper claims what is offered, who owns, and where the load is seen. Called once, before the actors start."""
        self._keeper = keeper
        self._coordinator = coordinator
        self._load = load
        self.fabric.receive(KEEPER, self._hear)
        self.fabric.answer(OPERATIONS, self._answer)
        self.gossip.subscribe(self._learn)

    def children(self) -> list[ChildSpec]:
        """What has to run before the lanes, in the order of starting."""
        return [
            ChildSpec(TaskChild("fabric", self._run_fabric)),
            ChildSpec(self.gossip),
            ChildSpec(TaskChild("coordination", self.coordination.run)),
            ChildSpec(TaskChild("neighbours", self._tend)),
        ]

    async def _run_fabric(self) -> None:
        async with trio.open_nursery() as nursery:
            address = await nursery.start(self.fabric.run)
            logger.info("links from other nodes are accepted at %s", address)

    # -- what this node says of itself

    def me(self) -> Peer:
        """This node, as it is now."""
        slots, free, running = self._load()
        return Peer(
            self.config.name,
            self.boot,
            self.address,
            labels=self.config.labels,
            types=self._types,
            executor=self._executor,
            draining=self._draining,
            slots=slots,
            free=free,
            running=running,
            offset=Micros(0),
            timezone_database=self._timezone_database,
            version=self._version,
        )

    @property
    def owned(self) -> tuple[int, ...]:
        """The partitions for which this node acts."""
        return self._keeper.owned

    @property
    def lease(self) -> str:
        """The boot id under which this node claims."""
        return self._coordinator.boot

    @property
    def address(self) -> str:
        """Where other nodes make their links to."""
        return self.config.advertise or self.fabric.address

    def attributes(self) -> Mapping[str, str]:
        """What stands with this member at the coordination servers."""
        return {
            "link": self.boot,
            "address": self.address,
            ZONES_ATTRIBUTE: self._timezone_database,
            "version": self._version,
            "labels": json.dumps(dict(self.config.labels)),
            "mark": mark(self.config.key or b"", self.fabric.identity.cluster_id, self.boot),
        }

    # -- what is heard of others

    async def _tend(self) -> None:
        """Tell gossip who the members are, and what this node has to say of itself."""
        told: Peer | None = None
        while True:
            members = self.coordination.members()
            if members != self._known:
                self._know(members)
            self._judge_key()
            if (me := self.me()) != told:
                told = me
                self.gossip.describe(**attrs.asdict(me, recurse=False, filter=_is_ours))
            await trio.sleep(self.config.rhythm.tell_seconds)

    def _judge_key(self) -> None:
        """A node that has another key than the leader can link with nobody: it must not own what others run."""
        leader = next((one for one in self._known if one.name == self.coordination.status().leader), None)
        reason = None
        if leader is not None and self.config.key and (shown := leader.attributes.get("mark", "")):
            keys = (self.config.key, *self.config.also)
            if shown not in [mark(key, self.fabric.identity.cluster_id, _process(leader)) for key in keys]:
                reason = f"it has another cluster key than {leader.name}, which leads: nobody makes links with it"
        if reason != self._estranged and hint(self._coordinator.mailbox, Estranged(reason)):
            self._estranged = reason

    def _know(self, members: tuple[Member, ...]) -> None:
        self._known = members
        linked = [Member(_process(member), member.name, member.weight, member.attributes) for member in members]
        hint(self.gossip.mailbox, Members(tuple(linked)))
        self._tell_keeper()

    def _learn(self, peers: tuple[Peer, ...]) -> None:
        self._peers = peers
        self._tell_keeper()

    def _tell_keeper(self) -> None:
        hint(self._keeper.mailbox, PeersChanged(self.peers()))

    def _live(self) -> Collection[str]:
        return {_process(member) for member in self._known} | {self.boot}

    def peers(self) -> tuple[Peer, ...]:
        """Every node that is known, this one among them, by name."""
        others = [peer for peer in self._peers if peer.boot != self.boot]
        return tuple(sorted((self.me(), *others), key=lambda peer: (peer.name, peer.boot)))

    def others(self) -> tuple[Peer, ...]:
        """The other nodes that live, as far as gossip or the coordination know; not all of them need be reachable."""
        live = self._live()
        others = (peer for peer in self.peers() if peer.boot != self.boot)
        return tuple(peer for peer in others if peer.standing is not Standing.DEAD or peer.boot in live)

    def complaints(self) -> list[str]:
        """What is not well about this node's part in the cluster; empty when all is."""
        wrong = [f"{text}; least_loaded chooses in its place" for text in self.places.trouble.values()]
        return [*self._judged_by(complaints), *wrong]

    def hindrances(self) -> list[str]:
        """Of the complaints those for which the node does not keep time."""
        return self._judged_by(hindrances)

    def _judged_by(self, judge: Callable[..., list[str]]) -> list[str]:
        return judge(
            self.status(),
            name=self.config.name,
            partitions=self._partitions,
            nodes=len(self._known),
            draining=self._draining,
            in_doubt=self._coordinator.in_doubt,
        )

    def status(self) -> CoordinationStatus:
        """What there is to see of the coordination, and why this node owns nothing, if something stands against it."""
        status = self.coordination.status()
        return attrs.evolve(status, problem=status.problem or self._coordinator.problem)

    # -- executions offered to and by others

    def send(self, directive: SharingDirective) -> None:
        """Tell a peer what the keeper decided. What does not arrive is found again by the next look at the store."""
        message: Offer | Declined
        if isinstance(directive, SendOffer):
            message = Offer(directive.executions, directive.stands)
        else:
            message = Declined(directive.executions)
        self.fabric.tell(directive.boot, KEEPER, message)

    def _hear(self, boot: str, message: object) -> None:
        match message:
            case Offer(executions=executions, stands=stands):
                hint(self._keeper.mailbox, Offered(boot, executions, stands))
            case Declined(executions=executions):
                hint(self._keeper.mailbox, KeeperDeclined(boot, executions))
            case _:
                logger.warning("%s told the keeper %s", boot, type(message).__name__)

    # -- operations on other nodes

    async def ask(self, boot: str, call: Call, seconds: float) -> Result:
        """Have the node with this boot id carry out an operation. Raises PeerUnreachable, ReplyTimeout."""
        answer = await self.fabric.ask(boot, OPERATIONS, call, seconds)
        assert isinstance(answer, Result)
        return answer

    async def _answer(self, boot: str, message: object) -> Result:
        if self.answer is None or not isinstance(message, Call):
            return Result(title="Not available", message="this node answers no operations")
        return await self.answer(boot, message)

    # -- switches

    @property
    def executor(self) -> bool:
        """Whether this node takes executions."""
        return self._executor

    def switch_executor(self, on: bool) -> None:
        """Take executions, or no new ones; what runs goes on."""
        if on is not self._executor:
            self._executor = on
            logger.info("this node %s executions now", "takes" if on else "takes no")
            self._tell_keeper()

    def drain(self, on: bool = True) -> None:
        """Take nothing new and give the partitions up, or take part again; what runs goes on."""
        if on != self._draining:
            logger.info(
                "this node %s", "drains: it takes nothing new and gives its partitions up" if on else "takes part again"
            )
        self._draining = on
        self._tell_keeper()
        hint(self._coordinator.mailbox, Drain(on))
        for listener in self._drain_listeners:
            listener(on)

    def on_drain(self, listener: Callable[[bool], None]) -> None:
        """Have it told of every drain (True) and of every return (False), at once and in the loop."""
        self._drain_listeners.append(listener)

    async def raise_fence(self) -> None:
        """An operator's word after a loss of authority. Raises StoreUnavailable, RegistryUnavailable."""
        await self._coordinator.raise_fence()


def _security(config: ClusterConfig) -> Security:
    tls = config.tls
    if tls is None or tls.certificate is None or tls.key is None:
        return Security(key=config.key or b"", also=config.also)
    return Security(Tls(tls.ca, tls.certificate, tls.key), config.key or b"", config.also)


def _process(member: Member) -> str:
    """The boot id by which links and gossip know a member: that of its process, whatever its lease is called by now."""
    return member.attributes.get("link", member.boot)


def _is_ours(field: attrs.Attribute[object], _value: object) -> bool:
    """Whether a field of `Peer` is for the node itself to say."""
    return field.name not in ("standing", "offset")
