"""What workers ask for: start, next, save, heartbeat; and what nodes ask each other for on their behalf.

Theory of operation. An attempt for workers is held by the process that runs it (`actors/outside.py`), and its lease names that
process. So any node can be asked: `next` looks here first and then asks the other nodes one after another, and what concerns a
job goes to the process that the lease names. A save that ends a job is answered when the end is in the store. Who was left
without an answer sends it again: if that very end is what the store has of that attempt, it is accepted once more, and changes
nothing; anything else is refused.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from actors.handling.payload import decode_json
from actors.lanes import ASK_SECONDS
from actors.model.execution import Attempt, Execution, Failure
from actors.model.lifecycle import State
from actors.model.peer import Peer, Standing
from actors.outside import OutsideJob
from actors.store.answers import ExecutionDetail
from runtime.clock import SECOND, from_datetime
from runtime.errors import PeerUnreachable, ReplyTimeout, StaleFence, TocsinError

from ..operations.calls import Call
from ..peers.peer_calls import ALL_SECONDS, ask_node, ask_nodes
from ..vocabulary.fields import show_instant
from ..vocabulary.views import Json
from .reading import Lease, Saved, Saying, read_heartbeat, read_saved, read_wanted, read_worker

if TYPE_CHECKING:
    from actors.node import Node

TAKE: Final = "queue_take"
SAVE: Final = "queue_save_there"
START: Final = "queue_start_there"
HOLDERS: Final = "queue_holders"
ANEW: Final = "queue_claim_anew"
"""What nodes ask each other; no operation of the table, for nobody else asks for them."""

LOOK_SECONDS: Final = 1.0
"""How often the other nodes are asked for a worker who waits here: work that was made there waits half of it on average."""

_ENDS: Final = {Saying.COMPLETED: State.COMPLETED, Saying.FAILED: State.FAILED}
"""What a worker says -> what the store has of the attempt if that was accepted."""


# -- start


async def queue_start(node: Node, call: Call) -> Json:
    """A worker has started: what its name held is lost, here and on every other node."""
    worker = read_worker(call["worker"])
    given_back = _start_here(node, worker)
    peers = _peers(node)
    told: dict[str, Any] = {}
    if node.cluster is not None:
        told = await ask_nodes(node.cluster, [(peer, {"worker": worker}) for peer in peers], START, call)
    for answer in told.values():
        given_back += answer["givenBack"]
    silent = sorted(peer.name for peer in peers if peer.boot not in told)
    return {"worker": worker, "givenBack": sorted(given_back), "unreachable": silent}


def _start_here(node: Node, worker: str) -> list[str]:
    return [job.key[0] for job in node.outside.start_anew(worker, node.scope)]


# -- next


async def queue_next(node: Node, call: Call) -> Json:
    """A job for a worker, within the time that he waits."""
    worker, wanted = read_worker(call["worker"]), read_wanted(call["body"])
    deadline = trio.current_time() + wanted.wait
    asked = {"worker": worker, "types": sorted(wanted.types), "lease": wanted.lease}
    wait = 0.0
    while True:
        job = await node.outside.take(worker, wanted.types, node.scope, lease=wanted.lease, wait=wait)
        if job is not None:
            return {"job": job_view(job)}
        for peer in _peers(node):
            if (found := await _take_there(node, peer, asked, call)) is not None:
                return {"job": found}
        left = deadline - trio.current_time()
        if left <= 0 or node.outside.is_ending:
            return {"job": None}
        wait = min(left, LOOK_SECONDS) if _peers(node) else left


async def _take_there(node: Node, peer: Peer, asked: Mapping[str, object], call: Call) -> Json | None:
    if node.cluster is None or peer.standing is not Standing.ALIVE:
        return None
    # What was given and whose answer was lost comes back when its lease runs out.
    with suppress(TocsinError):
        answer = await ask_node(node.cluster, peer, TAKE, asked, call=call, seconds=ALL_SECONDS)
        found: Json | None = answer["job"]
        return found
    return None


def _peers(node: Node) -> list[Peer]:
    return [] if node.cluster is None else list(node.cluster.others())


def job_view(job: OutsideJob) -> Json:
    """All that a worker needs to do a job."""
    context, definition = job.context, job.definition
    extra, policies = context.extra, context.policies
    nominal = context.nominal
    return {
        "job": context.execution_id,
        "lease": str(Lease(context.fence, job.boot)),
        "leaseSeconds": job.lease,
        "fence": context.fence,
        "attempt": context.attempt,
        "taskId": context.task_id,
        "task": context.task,
        "type": context.type,
        "tenant": definition.tenant,
        "parameters": context.parameters,
        "extra": None
        if extra is None
        else {"contentType": context.extra_type, "data": base64.b64encode(extra).decode("ascii")},
        "checkpoint": context.resumed_from,
        "nominal": None if nominal is None else show_instant(from_datetime(nominal)),
        "assigned": show_instant(from_datetime(context.assigned)),
        "kind": context.kind,
        "channel": context.channel,
        "correlation": context.correlation_id,
        "idempotencyKey": context.idempotency_key,
        "timeoutSeconds": None if policies.timeout is None else policies.timeout / SECOND,
    }


# -- save and heartbeat


async def queue_save(node: Node, call: Call) -> Json:
    """What a worker says of a job."""
    return await _about(node, call, read_saved(call["body"]))


async def queue_heartbeat(node: Node, call: Call) -> Json:
    """A worker lives."""
    return await _about(node, call, read_heartbeat(call["body"]))


async def _about(node: Node, call: Call, saved: Saved) -> Json:
    job_id: str = call["job"]
    if (job := _here(node, job_id, saved.lease)) is not None:
        return await _save(node, job, saved)
    peer = next((peer for peer in _peers(node) if peer.boot == saved.lease.boot), None)
    if node.cluster is None or peer is None:
        return await _ended(node, job_id, saved)
    try:
        body: object = call["body"]
        there: Json = await ask_node(node.cluster, peer, SAVE, {"job": job_id, "body": body}, call=call)
    except PeerUnreachable:
        # Unless its node still has it, for all that the store knows, it can be said what became of it.
        return await _ended(node, job_id, saved)
    return there


def _here(node: Node, job_id: str, lease: Lease) -> OutsideJob | None:
    job = node.outside.find((job_id, lease.fence))
    return job if job is not None and node.scope.covers(job.definition) and job.worker is not None else None


async def _save(node: Node, job: OutsideJob, saved: Saved) -> Json:
    context = job.context
    if not job.is_over:
        job.renew()
        for level, text in saved.lines:
            context.write_line(level, text)
        if saved.progress is not None:
            context.progress(**saved.progress)
        if saved.checkpoint is not None:
            await context.checkpoint(saved.checkpoint)
    if not job.is_over and not saved.is_final:
        return _answer(context.execution_id, State.RUNNING, context.cancellation_reason, job.lease)
    if not job.is_over:
        _end(job, saved)
    with trio.move_on_after(ASK_SECONDS) as waiting:
        await job.recorded.wait()
    if waiting.cancelled_caught:
        raise ReplyTimeout(f"job {context.execution_id}: how it ended is not recorded yet; say it again")
    return await _ended(node, context.execution_id, saved)


def _end(job: OutsideJob, saved: Saved) -> None:
    match saved.saying:
        case Saying.COMPLETED:
            job.complete(saved.result)
        case Saying.FAILED:
            failure = saved.failure or Failure("WorkerError", "")
            job.fail(failure, tuple(dict.fromkeys((failure.type, "WorkerError", "Exception"))))
        case _:
            job.give_back(job.context.cancellation_reason or f"given back by worker {job.worker}")


async def _ended(node: Node, job_id: str, saved: Saved) -> Json:
    """The answer about an attempt that has ended. Raises StaleFence, unless it ended as it is said now."""
    detail = await node.execution(job_id)
    execution, attempt = detail.execution, _attempt(detail, saved.lease.fence)
    state = None if attempt is None else attempt.state
    if state is State.RUNNING and saved.lease.boot != node.boot and execution.boot == saved.lease.boot:
        raise PeerUnreachable(f"job {job_id} is on a node that does not answer; say it again")
    if state is not None and _is_what_was_said(detail, attempt, saved):
        return _answer(job_id, execution.state, execution.cancel_reason, None)
    became = "was taken over" if state in (None, State.RUNNING) else f"had ended as {state}"
    raise StaleFence(f"job {job_id}: the attempt with the fence {saved.lease.fence} {became}; nothing was saved")


def _attempt(detail: ExecutionDetail, fence: int) -> Attempt | Execution | None:
    """The attempt with this fence: a former one, or the one whose data stand in the execution's own row."""
    former = next((one for one in detail.attempts if one.fence == fence), None)
    newest = detail.execution
    return former or (newest if newest.fence == fence else None)


def _is_what_was_said(detail: ExecutionDetail, attempt: Attempt | Execution | None, saved: Saved) -> bool:
    """Whether an attempt ended as its worker says; who gives up a job is content with every end but its completion."""
    if attempt is None or attempt.state is State.RUNNING or not saved.is_final:
        return False
    match saved.saying:
        case Saying.COMPLETED:
            return attempt.state is State.COMPLETED and decode_json(detail.result) == saved.result
        case Saying.FAILED:
            said = saved.failure or Failure("WorkerError", "")
            stopped = attempt.state in (State.CANCELLED, State.TIMED_OUT)
            return stopped or (attempt.state is State.FAILED and attempt.failure == said)
        case _:
            return attempt.state in (State.CANCELLED, State.TIMED_OUT)


def _answer(job_id: str, state: State, cancel: str | None, lease: float | None) -> Json:
    return {"job": job_id, "state": state.value, "cancel": cancel, "leaseSeconds": lease}


# -- what nodes ask each other


async def _take(node: Node, arguments: Mapping[str, Any]) -> Json:
    types, lease = frozenset(arguments["types"]), float(arguments["lease"])
    job = await node.outside.take(str(arguments["worker"]), types, node.scope, lease=lease, wait=0)
    return {"job": None if job is None else job_view(job)}


async def _save_here(node: Node, arguments: Mapping[str, Any]) -> Json:
    job_id, body = str(arguments["job"]), arguments["body"]
    saved = read_heartbeat(body) if isinstance(body, dict) and body.keys() == {"lease"} else read_saved(body)
    job = _here(node, job_id, saved.lease)
    return await (_ended(node, job_id, saved) if job is None else _save(node, job, saved))


async def _start(node: Node, arguments: Mapping[str, Any]) -> Json:
    return {"givenBack": _start_here(node, str(arguments["worker"]))}


async def holders(node: Node, _arguments: Mapping[str, Any]) -> Json:
    """Who has the jobs that this process holds: by job the worker, and the seconds that are left of its lease."""
    now = trio.current_time()
    return {
        job.key[0]: [job.worker, None if job.worker is None else max(0.0, round(job.until - now, 3))]
        for job in node.outside.held()
        if node.scope.covers(job.definition)
    }


async def claim_anew(node: Node, arguments: Mapping[str, Any]) -> Json:
    """The definition of a task has changed: what this process holds of it and no worker has is claimed under the new one."""
    held = [job for job in node.outside.held() if job.worker is None and job.context.task_id == arguments["task"]]
    for job in held:
        if node.scope.covers(job.definition):
            job.give_back("the definition was changed")
    return {"claimed": len(held)}


TOLD: Final = {TAKE: _take, SAVE: _save_here, START: _start, HOLDERS: holders, ANEW: claim_anew}
"""Name -> what it does, on behalf of a caller whose part of the node it is given."""
