"""What a batch of the keeper needs to be decided."""

from __future__ import annotations

from runtime.records import record


@record
class Needs:
    """What the shell must do before `decide`: read these tasks, and all tasks with running executions if `running`.

    `conflicts`: a commit under way is about tasks of this batch and has to land first. `edges`: who waits for whom is to be read.
    """

    task_ids: frozenset[str]
    running: bool
    conflicts: bool
    edges: bool
