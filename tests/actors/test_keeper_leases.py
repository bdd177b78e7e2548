"""What a keeper claims without a lease, or while nobody knows whether it has one: nothing, until it has one again."""

from __future__ import annotations

from actors.sharing_messages import LeaseDoubted

from .keeper_kit import definition
from .sharing_kit import Nodes


def test_a_buried_boot_claims_nothing():
    nodes = Nodes(2, owners=[0, 0, 0, 0])
    nodes[0].create(definition("t1"))
    nodes.store.leave(nodes[0].boot)
    nodes.advance(10)
    nodes[0].fire()
    assert nodes[0].started == []


def test_a_boot_that_gets_its_lease_late_claims_from_then_on():
    """Who is started again at once has to wait for the end of its former lease, and may be asked for work before."""
    nodes = Nodes(1)
    nodes[0].create(definition("t1"))
    boot = nodes[0].boot
    del nodes.store._leases._held[boot]
    nodes.advance(10)
    nodes[0].fire()
    assert nodes[0].started == []
    nodes.store.enrol(boot, nodes[0].name, 1_000.0)
    nodes[0].look()
    assert len(nodes[0].started) == 1


def test_nothing_is_claimed_while_the_lease_is_in_doubt():
    nodes = Nodes(1)
    nodes[0].create(definition("t1"))
    nodes[0].send(LeaseDoubted(True))
    nodes.advance(10)
    nodes[0].fire()
    assert nodes[0].started == []
    nodes[0].send(LeaseDoubted(False))
    assert len(nodes[0].started) == 1
