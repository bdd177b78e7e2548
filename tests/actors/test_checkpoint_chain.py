"""Checkpoints are accepted as a chain: from the attempt that runs, each after the one before it, and never twice."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.handling.context import Context
from actors.keeper_messages import Checkpoint
from actors.model.lifecycle import State
from runtime.errors import ReplyTimeout, StaleFence, StoreUnavailable
from runtime.mailbox import Reply
from tests.actors.executor_kit import start
from tests.actors.keeper_kit import Rig, definition

STEPS = st.sampled_from(
    ["next", "again", "late", "gap", "old attempt", "both", "crash", "restart", "break", "interrupt"]
)


@attrs.define
class Chain:
    """What was accepted, as the rule says."""

    accepted: list[str] = attrs.field(factory=list)

    @property
    def last(self) -> str | None:
        return self.accepted[-1] if self.accepted else None


@given(st.lists(STEPS, max_size=30))
def test_39_checkpoint_machine_of_concurrent_attempts(steps: list[str]) -> None:
    rig = Rig()
    rig.create(definition())
    rig.settle(after=10)
    chain = Chain()

    def tell(sequence: int, data: str, fence: int | None = None) -> bool:
        try:
            rig.ask(lambda reply: Checkpoint("t1", execution.id, fence or newest().fence, data, reply, sequence))
        except (StaleFence, StoreUnavailable):
            return False
        return True

    def newest() -> Any:
        return rig.started[-1]

    execution = newest()
    for number, step in enumerate(steps, 1):
        length, data = len(chain.accepted), f'"{number}"'
        match step:
            case "next":
                assert tell(length + 1, data)
                chain.accepted.append(data)
            case "again":
                # Only what was accepted last can be told again; with nothing accepted, 0 takes whatever there is.
                if length:
                    assert tell(length, chain.accepted[-1])
            case "late":
                assert length < 2 or not tell(length - 1, data)
            case "gap":
                assert not tell(length + 2, data)
            case "old attempt":
                former = [one.fence for one in rig.started if one.fence != newest().fence]
                assert not former or not tell(length + 1, data, former[-1])
            case "both":
                former = [one.fence for one in rig.started]
                messages = [
                    Checkpoint("t1", execution.id, fence, f'"{number}-{fence}"', Reply(), length + 1)
                    for fence in former
                ]
                rig.send(*messages)
                chain.accepted.append(f'"{number}-{newest().fence}"')
            case "crash":
                rig.crashed = True
                assert not tell(length + 1, data)
                rig.crashed = False
                rig.restart_keeper()
                assert tell(length + 1, data), "the commit that was not answered is answered when it is told again"
                chain.accepted.append(data)
            case "restart":
                rig.restart_keeper()
            case "break":
                rig.broken = True
                assert not tell(length + 1, data)
                rig.broken = False
            case _:
                rig.end(State.WAITING, execution=newest(), reason="drain")
        assert rig.store.checkpoint(execution.id) == chain.last
        stored = rig.store.execution(execution.id)
        assert stored is not None
        assert stored.execution.checkpoints == len(chain.accepted)
        assert stored.execution.state is State.RUNNING


# -- how a context numbers them


class Host:
    """Takes checkpoints as the keeper does; `trouble` says what goes wrong with the next one, and whether it was kept."""

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self.kept: list[str] = []
        self.heard: list[tuple[int, str]] = []
        self.trouble: list[tuple[Exception | None, bool]] = []

    async def checkpoint(self, context: Context, data: str, sequence: int) -> None:
        await trio.lowlevel.checkpoint()
        self.heard.append((sequence, data))
        error, kept = self.trouble.pop(0) if self.trouble else (None, True)
        if kept:
            assert sequence in (self.last, self.last + 1), "no context leaves a gap"
            if sequence == self.last + 1:
                self.last += 1
                self.kept.append(data)
            else:
                assert data == self.kept[-1], "the same number is the same data"
        if error is not None:
            raise error

    def monotonic(self) -> float:
        return 0.0

    def beat(self, context: Context) -> None: ...


def context(host: Any, checkpoints: int = 0) -> Context:
    message = start(checkpoints=checkpoints)
    return Context(message.definition, message.execution, message.execution.created_at, "node", host)


TROUBLE = st.tuples(
    st.sampled_from([None, ReplyTimeout("no answer"), StoreUnavailable("disk full")]), st.booleans()
).map(lambda drawn: (drawn[0], drawn[1] if isinstance(drawn[0], ReplyTimeout) else drawn[0] is None))


@given(st.integers(0, 5), st.lists(TROUBLE, max_size=12))
def test_no_answer_leaves_no_gap_and_doubles_nothing(
    before: int, troubles: list[tuple[Exception | None, bool]]
) -> None:
    async def write() -> tuple[Host, list[str]]:
        host = Host(before)
        host.trouble = list(troubles)
        ctx = context(host, before)
        answered = []
        for number in range(len(troubles) + 1):
            try:
                await ctx.checkpoint(number)
            except (ReplyTimeout, StoreUnavailable):
                continue
            answered.append(str(number))
            assert host.kept[-1] == str(number)
        return host, answered

    host, answered = trio.run(write)
    assert [one for one in host.kept if one in answered] == answered, "in their order"
    assert len(set(host.kept)) == len(host.kept), "none twice"


async def test_tasks_of_one_handler_write_one_after_the_other(autojump_clock: trio.testing.MockClock) -> None:
    host = Host()
    ctx = context(host)
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ctx.checkpoint, number)
    assert [sequence for sequence, _ in host.heard] == list(range(1, 21))
    assert sorted(host.kept, key=int) == [str(number) for number in range(20)]


async def test_a_checkpoint_that_was_cut_off_is_told_again_before_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Slow(Host):
        async def checkpoint(self, context: Context, data: str, sequence: int) -> None:
            await super().checkpoint(context, data, sequence)
            if len(self.heard) == 1:
                await trio.sleep_forever()

    host = Slow()
    ctx = context(host)
    with trio.move_on_after(1):
        await ctx.checkpoint("first")
    await ctx.checkpoint("second")
    assert host.heard == [(1, '"first"'), (1, '"first"'), (2, '"second"')]
    assert host.kept == ['"first"', '"second"']


async def test_the_first_checkpoint_of_a_later_attempt_follows_the_last_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    host = Host(7)
    ctx = context(host, checkpoints=7)
    await ctx.checkpoint(1)
    assert host.heard == [(8, "1")]
    host.trouble = [(StaleFence("over"), False)]
    with pytest.raises(StaleFence):
        await ctx.checkpoint(2)
