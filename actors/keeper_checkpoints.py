"""Whether a checkpoint is taken: only from the attempt that runs, and in its order."""

from __future__ import annotations

from runtime.errors import StaleFence

from .keeper_messages import Answer, Checkpoint
from .keeper_staging import Staged
from .model.lifecycle import State


def take_checkpoint(staged: Staged | None, message: Checkpoint) -> StaleFence | None:
    """Stage the checkpoint, unless it is staged or stored already; or the error that refuses it. `staged` None: no such task."""
    execution = None if staged is None else staged.executions.get(message.execution_id)
    if staged is None or execution is None or execution.fence != message.fence or execution.state is not State.RUNNING:
        return StaleFence(f"attempt with fence {message.fence} of execution {message.execution_id} is over")
    sequence, last = message.sequence, execution.checkpoints
    if sequence not in (0, last, last + 1):
        return StaleFence(f"checkpoint {sequence} of execution {message.execution_id} does not follow number {last}")
    told_again = 0 < sequence == last
    if not told_again:
        staged.checkpoint(execution, message.data)
    staged.messages += (message,)
    staged.directives += (Answer(message.reply, None),)
    return None
