"""The fabric: messages and questions between the nodes of a cluster, over links that it makes, keeps and guards by itself.

At most once, in order while a link lasts, never blocking: whoever needs more asks again. A peer that is slow, frozen, gone or
hostile costs its own link and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import trio

from .codec import Codec, CodecError
from .errors import InvalidRequest, PeerUnreachable, ReplyTimeout, TocsinError
from .fabric_core import Complaints, RateLimiter, wanted, wins
from .fabric_messages import Endpoint, Hello, Identity, Limits, LinkRefused, LinkStatus, Security
from .fabric_peer import Peer
from .handshake import Established, Introduction, introduce, welcome
from .link import TELL, Link
from .questions import Answerer, Questions
from .tls import TlsContexts, secure
from .transport import Network, split_address
from .websocket import FrameStream, LinkBroken, use_as_client, use_as_server
from .world import World

logger = logging.getLogger(__name__)

Receiver = Callable[[str, Any], None]
"""Called in the loop with (boot of the sender, message); must be quick."""

Watcher = Callable[[str, bool], None]
"""Called with (boot, whether there is a link now) at each change."""

NONCE_BYTES: Final = 24


class Fabric:
    """All links of one node. `codec` is where messages are registered before `run`; `listen` is HOST:PORT, port 0 any free
    one."""

    def __init__(
        self,
        identity: Identity,
        network: Network,
        security: Security,
        limits: Limits,
        world: World,
        *,
        listen: str = "127.0.0.1:0",
        codec: Codec | None = None,
    ) -> None:
        self.identity, self.limits = identity, limits
        self.codec = codec or Codec(limits.max_message, limits.max_frame)
        self.address = listen
        self._network, self._security, self._world = network, security, world
        self._process = world.secret(12)
        self._rng = world.rng("fabric")
        self._tls = TlsContexts(security.tls) if security.tls is not None else None
        self._peers: dict[str, Peer] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._wanted: frozenset[str] = frozenset()
        self._watchers: list[Watcher] = []
        self._receivers: dict[bytes, Receiver] = {}
        self._prefixes: dict[str, bytes] = {}
        self._questions = Questions(self.codec, limits, self._complain)
        self._complaints = Complaints()
        self._accepts = RateLimiter(limits.accepts_per_second, 2 * limits.accepts_per_second)
        self._shaking = 0
        self._nursery: trio.Nursery | None = None

    # --- what others use

    def know(self, endpoints: Mapping[str, Endpoint]) -> None:
        """From now on links may be made to these boots, and to no other. Whoever of them is not linked is tried at once."""
        self._endpoints = {boot: point for boot, point in endpoints.items() if boot != self.identity.boot}
        self._wanted = wanted(self.identity.boot, self._endpoints, self.limits.full_mesh, self.limits.fan_out)
        for boot, point in self._endpoints.items():
            self._peer(boot).endpoint = point
        for boot, peer in list(self._peers.items()):
            if boot not in self._endpoints:
                peer.endpoint = None
            peer.wanted = boot in self._wanted
            peer.stir()
            self._forget_if_gone(peer)
        self._tend()

    def receive(self, name: str, handler: Receiver) -> None:
        """Hand messages that are addressed to `name` to a handler. Raises InvalidRequest if the name has one or is too long."""
        key = _name(name)
        if key in self._receivers:
            raise InvalidRequest(f"messages to {name!r} are received already")
        self._receivers[key] = handler

    def answer(self, name: str, handler: Answerer) -> None:
        """Let a handler answer questions to `name`. Raises InvalidRequest as `receive` does."""
        key = _name(name)
        if self._questions.has(key):
            raise InvalidRequest(f"questions to {name!r} are answered already")
        self._questions.answer(key, handler)

    def on_link(self, watcher: Watcher) -> None:
        """Have a function called when the link to a peer comes or goes."""
        self._watchers.append(watcher)

    def tell(self, boot: str, to: str, message: object) -> bool:
        """Send a message to a name at a peer: at most once. False: there is no link, or the peer's queue is full.

        Raises CodecError, TooLarge for a message that cannot travel.
        """
        prefix = self._prefixes.get(to)
        if prefix is None:
            key = _name(to)
            prefix = self._prefixes[to] = bytes((TELL, len(key))) + key
        data = self.codec.encode(message)
        peer = self._peers.get(boot)
        return peer is not None and peer.put(prefix, data)

    async def ask(self, boot: str, to: str, message: object, seconds: float) -> Any:
        """Ask a name at a peer, and wait for the answer.

        Raises PeerUnreachable (no link, or it broke: whether the question was heard is not known), ReplyTimeout, PeerFailed
        (heard, and not answered), CodecError, TooLarge.
        """
        peer = self._peers.get(boot)
        if peer is None:
            raise PeerUnreachable(f"no node with boot id {boot} is known")
        question = self._questions.begin(peer, _name(to), self.codec.encode(message), seconds)
        try:
            with trio.move_on_after(seconds):
                return await question.wait()
            raise ReplyTimeout(f"{peer.name} has not answered within {seconds:g} s")
        finally:
            self._questions.end(question)

    @property
    def handshakes(self) -> int:
        """Accepted connections of which it is not known yet who they are."""
        return self._shaking

    def links(self) -> tuple[LinkStatus, ...]:
        """Every peer that is known or linked."""
        return tuple(peer.status() for _, peer in sorted(self._peers.items()))

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept and make links until cancelled; reports the address in use. Raises InvalidRequest if it cannot be used, or
        would let strangers in."""
        if self._tls is None and not self._security.key and self._network.is_exposed(self.address):
            raise InvalidRequest(
                f"links at {self.address} need certificates or a cluster key: other machines can reach that address"
            )
        async with trio.open_nursery() as nursery:
            serve = partial(self._network.serve, self.address, self._accept, self._admit_connection)
            self.address = await nursery.start(serve)
            self._nursery = nursery
            try:
                self._tend()
                task_status.started(self.address)
                await trio.sleep_forever()
            finally:
                self._nursery = None

    # --- making links

    def _peer(self, boot: str) -> Peer:
        peer = self._peers.get(boot)
        if peer is None:
            peer = self._peers[boot] = Peer(boot, self.limits)
        return peer

    def _tend(self) -> None:
        """A task for each peer that may be dialled."""
        if self._nursery is None:
            return
        for peer in self._peers.values():
            if peer.endpoint is not None and not peer.tended:
                peer.tended = True
                self._nursery.start_soon(self._keep, peer)

    async def _keep(self, peer: Peer) -> None:
        """Dial a peer whenever a link to it is wanted and there is none, as long as it is known."""
        pause = self.limits.first_pause
        while (point := peer.endpoint) is not None:
            if not peer.wants_link:
                await peer.wait_stirred()
                continue
            lasted = await self._dial(peer, point)
            if lasted:
                pause = self.limits.first_pause
            else:
                peer.retry_at = trio.current_time() + pause
                self._give_up_demand(peer)
            await trio.sleep(self.limits.first_pause * (0.5 + self._rng.random()))
            with trio.move_on_after(pause * (0.5 + self._rng.random() / 2)):
                await peer.wait_stirred()
                pause = self.limits.first_pause
            pause = min(self.limits.last_pause, 2 * pause)
        peer.tended = False
        self._forget_if_gone(peer)

    async def _dial(self, peer: Peer, point: Endpoint) -> bool:
        """One attempt, and the link that came of it until it ends; False if none came."""
        established = False

        async def use(frames: FrameStream) -> None:
            nonlocal established
            with trio.CancelScope(deadline=trio.current_time() + self.limits.handshake_seconds) as scope:
                result = await introduce(frames, self._introduction(), peer.boot)
            if scope.cancelled_caught:
                raise LinkBroken("its handshake takes too long")
            established = True
            await self._carry(frames, result, dialled=True)

        limits = self.limits
        try:
            stream = await self._network.connect(point.address, trio.current_time() + limits.handshake_seconds)
            if self._tls is not None:
                stream = await secure(stream, self._tls.client, server=False, seconds=limits.handshake_seconds)
            host, _ = split_address(point.address)
            await use_as_client(stream, host, use, seconds=limits.handshake_seconds, max_frame=self._wire_frame)
        except TocsinError as error:
            self._complain(peer.boot, f"link to {point.name} at {point.address}", error)
        except Exception:
            logger.exception("link to %s at %s", point.name, point.address)
        return established

    def _admit_connection(self, host: str) -> bool:
        if self._shaking >= self.limits.handshakes or not self._accepts.allows(host, trio.current_time()):
            self._complain(
                f"flood from {host}", f"connections from {host}", LinkRefused("too many; closing them unread")
            )
            return False
        self._shaking += 1
        return True

    async def _accept(self, stream: trio.abc.Stream, host: str) -> None:
        shaking = True

        def done() -> None:
            nonlocal shaking
            self._shaking -= shaking
            shaking = False

        async def use(frames: FrameStream) -> None:
            with trio.CancelScope(deadline=trio.current_time() + self.limits.handshake_seconds) as scope:
                result = await welcome(frames, self._introduction(), self._admit_peer)
            done()
            if scope.cancelled_caught:
                raise LinkBroken("its handshake takes too long")
            await self._carry(frames, result, dialled=False)

        limits = self.limits
        try:
            if self._tls is not None:
                stream = await secure(stream, self._tls.server, server=True, seconds=limits.handshake_seconds)
            await use_as_server(stream, use, seconds=limits.handshake_seconds, max_frame=self._wire_frame)
        except TocsinError as error:
            self._complain(host, f"link from {host}", error)
        except Exception:
            logger.exception("link from %s", host)
        finally:
            done()

    @property
    def _wire_frame(self) -> int:
        """Bytes of the largest frame, with its seal."""
        return self.limits.max_frame + 64

    def _introduction(self) -> Introduction:
        nonce = self._world.secret(NONCE_BYTES).encode()
        sealed = self._tls is None
        keys = (self._security.key, *self._security.also)
        return Introduction(self.identity, self._process, nonce, keys, sealed, self.limits.handshake_bytes)

    def _admit_peer(self, hello: Hello) -> None:
        """Raises LinkRefused if an accepted link to a proven peer would not stay."""
        if self._linked() >= self.limits.links:
            raise LinkRefused(f"this node has {self.limits.links} links, which is the most")
        old = peer.link if (peer := self._peers.get(hello.boot)) is not None else None
        if old is not None and not self._wins(hello, old, dialled=False):
            raise LinkRefused("there is a link already", quiet=True)

    def _linked(self) -> int:
        return sum(peer.link is not None for peer in self._peers.values())

    def _wins(self, hello: Hello, old: Link, *, dialled: bool) -> bool:
        own = self.identity.boot
        return wins(
            own, hello.boot, dialled=dialled, process=hello.process,
            old_dialled=old.dialled, old_process=old.peer.process,
        )  # fmt: skip

    # --- a link's life

    async def _carry(self, frames: FrameStream, established: Established, *, dialled: bool) -> None:
        """Use a link until it ends. The peer may have got another one while the handshake was under way."""
        hello, seal = established
        peer = self._peer(hello.boot)
        old = peer.link
        stays = old is None or self._wins(hello, old, dialled=dialled)
        link = Link(
            hello, seal, dialled=dialled, codec=self.codec, limits=self.limits, world=self._world,
            clock=peer.clock, outbox=peer.outbox, heard=self._heard, sent=peer.count_sent,
        )  # fmt: skip
        if stays:
            peer.link = link
        if old is not None:
            # The peer may have used the one that goes already: what it said there is still heard.
            (old if stays else link).give_way()
        else:
            logger.info("linked with %s (%s)", hello.node, hello.boot)
            self._announce(hello.boot, up=True)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_idle, peer, link)
                await link.run(frames)
                nursery.cancel_scope.cancel()
        finally:
            if peer.link is link:
                self._unlink(peer)

    def _unlink(self, peer: Peer) -> None:
        peer.close()
        self._questions.abandon(peer, "the link broke")
        self._announce(peer.boot, up=False)
        self._forget_if_gone(peer)

    def _give_up_demand(self, peer: Peer) -> None:
        """Nobody answered to a link that was made on demand: what waited for it is dropped."""
        if peer.demanded and peer.link is None:
            peer.close()
            self._questions.abandon(peer, "it does not answer")

    def _forget_if_gone(self, peer: Peer) -> None:
        if peer.endpoint is None and peer.link is None and not peer.tended:
            self._peers.pop(peer.boot, None)

    async def _watch_idle(self, peer: Peer, link: Link) -> None:
        """Give up a link that nobody wants to keep and nobody uses: of the two ends the one that dialled does so."""
        while link.dialled:
            link.used = False
            await trio.sleep(self.limits.idle_seconds)
            if not link.used and not peer.wanted:
                link.give_up()

    def _announce(self, boot: str, *, up: bool) -> None:
        for watcher in self._watchers:
            try:
                watcher(boot, up)
            except Exception:
                logger.exception("a watcher of links failed")

    # --- messages

    def _heard(self, link: Link, messages: list[bytes]) -> None:
        """The messages of one frame. Whatever is wrong with one of them costs that one alone."""
        peer, boot = self._peers.get(link.boot), link.boot
        if peer is None:
            return
        peer.received += len(messages)
        receivers, decode = self._receivers, self.codec.decode
        for message in messages:
            try:
                if len(message) > 1 and message[0] == TELL:
                    end = 2 + message[1]
                    receiver = receivers.get(message[2:end])
                    if receiver is None:
                        raise CodecError(f"nobody receives messages to {message[2:end]!r}")  # noqa: TRY301
                    receiver(boot, decode(message, end))
                else:
                    self._questions.heard(peer, message, self._nursery)
            except CodecError as error:
                peer.refused += 1
                self._complain(f"message of {boot}", f"a message of {peer.name}", error)
            except Exception:
                peer.refused += 1
                logger.exception("the receiver of a message of %s failed", peer.name)

    def _complain(self, subject: str, what: str, error: Exception) -> None:
        quiet = isinstance(error, LinkRefused | LinkBroken) and error.quiet
        if quiet or not self._complaints.worth_saying(subject, trio.current_time()):
            logger.debug("%s: %s", what, error)
        else:
            logger.warning("%s: %s", what, error)


def _name(name: str) -> bytes:
    """A name as it travels. Raises InvalidRequest if it is too long."""
    key = name.encode()
    if len(key) > 255:
        raise InvalidRequest(f"a name of {len(key)} bytes; 255 are the most")
    return key
