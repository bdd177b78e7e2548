"""The coordination of a node that is alone."""

from __future__ import annotations

import pytest
import trio

from runtime.coordination import SoloCoordination
from runtime.coordination_messages import Granted


async def test_every_slot_is_granted_above_what_was_granted_before():
    solo = SoloCoordination(3)
    assert solo.members() == ()
    events = await solo.join("boot")
    assert solo.members() == ("boot",)
    await solo.request({1: 7})
    assert await events.receive() == Granted({0: 1, 1: 8, 2: 1})


async def test_joining_again_ends_the_former_session():
    solo = SoloCoordination(1)
    first = await solo.join("boot")
    second = await solo.join("boot")
    await solo.request({})
    assert await second.receive() == Granted({0: 1})
    with pytest.raises(trio.EndOfChannel):
        await first.receive()


async def test_who_has_not_joined_is_granted_nothing():
    solo = SoloCoordination(1)
    await solo.request({})
    assert solo.members() == ()
