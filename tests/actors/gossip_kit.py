"""One node's gossip core with a clock of its own, for tests."""

from __future__ import annotations

import random

from actors.gossip_core import GossipCore
from actors.gossip_messages import (
    Ack,
    Claim,
    Gone,
    Gossip,
    Life,
    Load,
    Nack,
    News,
    PeersChanged,
    Ping,
    PingRequest,
    Profile,
    Received,
    Send,
    SetAlarm,
    Tick,
)  # fmt: skip
from actors.gossip_rules import (
    GossipConfig,
)  # fmt: skip
from actors.model.peer import Peer

CONFIG = GossipConfig(peers_seconds=0.0)


def claim(name="b", boot=None, incarnation=1, life=Life.ALIVE, by=""):
    return Claim(name, boot or f"{name}-1", incarnation, life, by)


class One:
    """Node a with a clock of its own; what it sends to whom is kept until it is looked at."""

    def __init__(self, *others, config=CONFIG, me=None, seed=0):
        self.now = 0.0
        self.core = GossipCore(me or Peer("a", "a-1", address="a:1"), config, random.Random(seed), 0.0)
        self.sent, self.gone, self.peers, self.alarm = [], [], (), 0.0
        self.hear(Tick())
        for name in others:
            self.learn(claim(name), Profile(name, f"{name}-1", 1), Load(name, f"{name}-1", 1, slots=2, free=2))
        self.take()

    def hear(self, event):
        for directive in self.core.handle(event, self.now):
            match directive:
                case Send(boot=boot, message=message):
                    self.sent.append((boot, message))
                case SetAlarm(at=at):
                    self.alarm = at
                case PeersChanged(peers=peers):
                    self.peers = peers
                case Gone(boot=boot):
                    self.gone.append(boot)
        self.core.check_invariants()

    def learn(self, *items, source="b-1"):
        news = News(*(tuple(i for i in items if type(i) is kind) for kind in (Claim, Profile, Load)))
        self.hear(Received(source, Gossip(news)))

    def take(self, kind=object):
        sent, self.sent = self.sent, []
        return [(boot, message) for boot, message in sent if isinstance(message, kind)]

    def pass_time(self, seconds, answering=(), nacking=()):
        """Let time pass; these boots answer pings, those say that they have no answer for others."""
        end = self.now + seconds
        while self.alarm <= end:
            self.now = max(self.now, self.alarm)
            self.hear(Tick())
            self.answer(answering, nacking)
        self.now = end

    def answer(self, answering=(), nacking=()):
        for boot, message in list(self.sent):
            if isinstance(message, Ping) and boot in answering:
                self.sent.remove((boot, message))
                self.hear(Received(boot, Ack(message.number)))
            if isinstance(message, PingRequest) and boot in nacking:
                self.sent.remove((boot, message))
                self.hear(Received(boot, Nack(message.number)))

    def life(self, name):
        held = self.core.claim(name)
        return None if held is None else held.life

    def peer(self, name):
        return next((peer for peer in self.core.peers() if peer.name == name), None)
