"""Decisions about links."""

from __future__ import annotations

import random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidRequest
from runtime.fabric_core import (
    SEAL_BYTES,
    ClockOffset,
    Complaints,
    NoSeal,
    RateLimiter,
    Seal,
    judge,
    proof,
    proves,
    transcript,
    wanted,
    wins,
)
from runtime.fabric_messages import PROTOCOL, Hello, Identity, LinkRefused, Security
from runtime.records import evolve

OWN = Identity("cluster", "one", "boot-1")
HELLO = Hello(PROTOCOL, "cluster", "two", "boot-2", "process-2", b"nonce", "boot-1", {})

boots = st.text("abcdef", min_size=1, max_size=4)


@pytest.mark.parametrize("protocol", [PROTOCOL - 1, PROTOCOL, PROTOCOL + 1])
def test_neighbouring_protocols_are_welcome(protocol: int) -> None:
    judge(OWN, "process-1", evolve(HELLO, protocol=protocol), None)
    judge(OWN, "process-1", evolve(HELLO, protocol=protocol, to=""), "boot-2")


@pytest.mark.parametrize(
    ("changes", "expected", "reason", "quiet"),
    [
        ({"protocol": PROTOCOL + 2}, None, "more than one step apart", False),
        ({"protocol": PROTOCOL - 2}, None, "more than one step apart", False),
        ({"cluster_id": "other"}, None, "belongs to cluster 'other'", False),
        ({"boot": "boot-1"}, None, "the same boot twice", False),
        ({"boot": "boot-1", "process": "process-1"}, None, "this node's own", True),
        ({"boot": ""}, None, "no boot id", False),
        ({"boot": "b" * 300}, None, "too long", False),
        ({"node": "n" * 300}, None, "too long", False),
        ({}, "boot-3", "boot-2 answers at the address of boot-3", True),
        ({"to": "boot-9"}, None, "'boot-9' is not here", True),
    ],
)
def test_others_are_refused(changes: dict[str, object], expected: str | None, reason: str, quiet: bool) -> None:
    with pytest.raises(LinkRefused, match=reason) as refused:
        judge(OWN, "process-1", evolve(HELLO, **changes), expected)
    assert refused.value.quiet is quiet


@given(boots, boots)
def test_both_ends_keep_the_same_one_of_two_crossing_links(one: str, two: str) -> None:
    if one == two:
        return

    def new_one_stays(own: str, peer: str, dialled: bool) -> bool:
        return wins(own, peer, dialled=dialled, process="p", old_dialled=not dialled, old_process="p")

    # The link that `one` dialled, arriving second at either end.
    at_one, at_two = new_one_stays(one, two, True), new_one_stays(two, one, False)
    assert at_one == at_two == (one < two)


def test_a_second_link_of_the_same_direction_replaces_the_first() -> None:
    for dialled in (True, False):
        assert wins("a", "b", dialled=dialled, process="p", old_dialled=dialled, old_process="p")


def test_a_peer_in_two_processes_is_refused() -> None:
    with pytest.raises(LinkRefused, match="the same boot twice"):
        wins("a", "b", dialled=False, process="p", old_dialled=False, old_process="q")


@given(st.binary(), st.binary(), st.binary(), st.binary())
def test_a_proof_is_of_one_key_one_role_and_one_conversation(
    key: bytes, first: bytes, second: bytes, other: bytes
) -> None:
    said = transcript(first, second)
    code = proof(key, "dials", said)
    assert proves(code, key, "dials", said)
    assert not proves(code, key, "accepts", said)
    assert not proves(code, key + b"\x01", "dials", said)
    assert not proves(code[:-1], key, "dials", said)
    if other != second:
        assert not proves(code, key, "dials", transcript(first, other))
    if first != second:
        assert not proves(code, key, "dials", transcript(second, first))


def sealed(key: bytes = b"key") -> tuple[Seal, Seal]:
    return Seal(key, b"said", "dials"), Seal(key, b"said", "accepts")


@given(st.lists(st.binary(max_size=50), max_size=5), st.lists(st.binary(max_size=50), max_size=5))
def test_sealed_frames_open_at_the_other_end(there: list[bytes], back: list[bytes]) -> None:
    dialler, accepter = sealed()
    assert [accepter.open(dialler.close(body)) for body in there] == there
    assert [dialler.open(accepter.close(body)) for body in back] == back
    plain = NoSeal()
    assert [plain.open(plain.close(body)) for body in there] == there


@given(st.binary(max_size=50), st.data())
def test_an_altered_frame_does_not_open(body: bytes, data: st.DataObject) -> None:
    dialler, accepter = sealed(b"")
    frame = bytearray(dialler.close(body))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(LinkRefused, match="altered"):
        accepter.open(bytes(frame))


def test_a_frame_opens_once_in_its_place_and_not_at_its_sender() -> None:
    dialler, accepter = sealed()
    first, second = dialler.close(b"first"), dialler.close(b"second")
    assert len(first) == len(b"first") + SEAL_BYTES
    assert accepter.open(first) == b"first"
    with pytest.raises(LinkRefused):
        accepter.open(first)
    late = sealed()[1]
    with pytest.raises(LinkRefused):
        late.open(second)
    with pytest.raises(LinkRefused):
        dialler.open(first)
    with pytest.raises(LinkRefused):
        sealed(b"other")[1].open(first)


@given(st.sets(boots, max_size=12), boots)
def test_a_small_cluster_is_a_full_mesh(known: set[str], own: str) -> None:
    assert wanted(own, known, 16, 5) == known - {own}


def test_a_large_cluster_hangs_together_by_a_few_links() -> None:
    everybody = [f"boot-{number}" for number in range(100)]
    links = {boot: wanted(boot, everybody, 16, 5) for boot in everybody}
    assert {len(chosen) for chosen in links.values()} == {5}
    assert not any(boot in chosen for boot, chosen in links.items())
    reached, fresh = {everybody[0]}, [everybody[0]]
    while fresh:
        boot = fresh.pop()
        near = links[boot] | {other for other, chosen in links.items() if boot in chosen}
        fresh += sorted(near - reached)
        reached |= near
    assert len(reached) == 100


def test_one_node_that_leaves_changes_few_links() -> None:
    everybody = [f"boot-{number}" for number in range(60)]
    before = {boot: wanted(boot, everybody, 16, 5) for boot in everybody}
    for boot in everybody[1:]:
        after = wanted(boot, everybody[1:], 16, 5)
        assert before[boot] - {everybody[0]} <= after


def test_a_host_may_connect_in_bursts_and_then_at_its_rate() -> None:
    limiter = RateLimiter(rate=10, burst=20)
    assert sum(limiter.allows("flood", 0.0) for _ in range(1_000)) == 20
    assert limiter.allows("other", 0.0)
    assert sum(limiter.allows("flood", 1.0) for _ in range(1_000)) == 10
    assert sum(limiter.allows("flood", 100.0) for _ in range(1_000)) == 20


def test_hosts_that_were_quiet_longest_are_forgotten() -> None:
    limiter = RateLimiter(rate=0.1, burst=1, hosts=2)
    assert limiter.allows("a", 0.0)
    assert not limiter.allows("a", 0.0)
    assert limiter.allows("b", 0.0)
    assert limiter.allows("c", 0.0)
    assert limiter.allows("a", 0.0)


@given(st.integers(-(10**12), 10**12), st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)), min_size=1))
def test_the_offset_is_wrong_by_half_a_round_trip_at_most(offset: int, ways: list[tuple[int, int]]) -> None:
    clock = ClockOffset()
    assert clock.offset is clock.round_trip is None
    now = 10**15
    for there, back in ways:
        heard = now + there + offset
        clock.add(now, heard, heard + 7, now + there + 7 + back, there + 7 + back)
        now += 10**6
    assert clock.offset is not None and clock.round_trip is not None
    assert clock.round_trip == min(there + back for there, back in ways[-8:])
    assert abs(clock.offset - offset) <= clock.round_trip / 2 + 1


def test_a_step_of_the_wall_clock_does_not_make_a_round_trip_negative() -> None:
    clock = ClockOffset()
    clock.add(1_000, 2_000, 9_000, 500, 100)
    assert clock.round_trip == 0


def test_one_line_per_subject_and_minute() -> None:
    complaints = Complaints(seconds=60, subjects=2)
    assert [complaints.worth_saying("a", at) for at in (0.0, 1.0, 59.9, 60.0, 61.0)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert complaints.worth_saying("b", 61.0)
    assert complaints.worth_saying("c", 61.0)
    assert complaints.worth_saying("a", 61.0)


def test_a_short_key_is_refused_and_no_key_is_shown() -> None:
    with pytest.raises(InvalidRequest, match="16 are the least"):
        Security(key=b"short")
    with pytest.raises(InvalidRequest, match="5 bytes"):
        Security(key=b"a key of 16 bytes", also=(b"short",))
    with pytest.raises(InvalidRequest, match="one of our own"):
        Security(also=(b"a key of 16 bytes",))
    key = random.Random(1).randbytes(16)
    assert repr(key) not in repr(Security(key=key))
    assert attrs.evolve(Security(), key=key).key == key
