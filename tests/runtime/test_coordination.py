"""The coordination of a node that is alone."""

from __future__ import annotations

import pytest
import trio

from runtime.coordination import SoloCoordination
from runtime.coordination_messages import Granted, Member


async def test_every_slot_is_granted_above_what_was_granted_before():
    solo = SoloCoordination(3)
    assert solo.members() == ()
    events = await solo.join(Member("boot", "node-1"))
    assert solo.members() == (Member("boot", "node-1"),)
    await solo.request({1: 7})
    assert await events.receive() == Granted({0: 1, 1: 8, 2: 1})


async def test_joining_again_ends_the_former_session():
    solo = SoloCoordination(1)
    first = await solo.join(Member("boot", "node-1"))
    second = await solo.join(Member("boot", "node-1"))
    await solo.request({})
    assert await second.receive() == Granted({0: 1})
    with pytest.raises(trio.EndOfChannel):
        await first.receive()


async def test_who_has_not_joined_is_granted_nothing():
    solo = SoloCoordination(1)
    await solo.request({})
    assert solo.members() == ()
