"""What is looked at of code and services of the user's own: the queue that says who is next, and the strategies of placement."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from actors.job_queue import JobQueueFailed
from actors.job_queue_core import ids_of
from runtime.clock import SECOND
from runtime.errors import TocsinError
from runtime.world import RealWorld

from ..placing.loading import load_strategies
from ..queue.custom import VERBS
from ..queue.custom_choice import link_maker
from ..queue.custom_link import Link
from ..settings.config import Config
from .findings import Finding, bad, good, warning
from .machine import NO_START


def of_placements(config: Config) -> Iterator[Finding]:
    """Whether the node's own strategies of placement can be loaded, those of installed packages included."""
    try:
        names = sorted(load_strategies(config.own_placements))
    except TocsinError as error:
        advice = "mend placement.plugins or placement.strategy, or what they name"
        yield bad("placement", str(error), NO_START, advice)
        return
    if names:
        yield good("placement", f"loaded: {', '.join(names)}")


def of_job_queue(config: Config) -> Iterator[Finding]:
    """Test the connection to the queue of the user's own: it is asked what it has, which changes nothing there."""
    if not config.queue_use:
        return
    subject = "job queue"
    try:
        link = link_maker(config)(RealWorld())
    except TocsinError as error:
        yield bad(subject, str(error), NO_START, "mend queue.use, or what it names")
        return
    if missing := [verb for verb in VERBS if not link.has(verb)]:
        why = "what is not there is not asked"
        advice = "write it if it is wanted: docs/guides/queue.md"
        yield warning(subject, f"{link.name} has no {', '.join(missing)}", why, advice)
    try:
        what = trio.run(_asked, link, config.name, config.queue_deadline / SECOND)
    except JobQueueFailed as error:
        why = "nodes give out work in their own order meanwhile"
        yield bad(subject, f"{link.name} {error}", why, "start it, or mend queue.use or queue.token_file")
    else:
        yield good(subject, f"{link.name} {what}")


async def _asked(link: Link, node: str, deadline: float) -> str:
    try:
        with trio.move_on_after(deadline):
            answer = await link.list(node)
            ids = ids_of(answer)
            if ids:
                await link.data(node, ids[0])
            return "answers" if answer is None else f"answers, and has {len(ids)} jobs of this node"
        raise JobQueueFailed(f"did not answer within {deadline:g} s")
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + deadline):
            await link.close()
