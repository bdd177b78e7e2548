"""What nodes tell each other beside gossip. All of it may be lost, doubled or late; the store decides what becomes of it."""

from __future__ import annotations

from runtime.records import record


@record
class Offer:
    """The owner of their partitions: these tasks have executions that may be claimed by you (task id, execution id)."""

    executions: tuple[tuple[str, str], ...]


@record
class Declined:
    """The answer to an offer: these are not claimed here now."""

    executions: tuple[tuple[str, str], ...]


@record
class Wake:
    """These tasks have changed in a way that concerns you: look at their rows."""

    task_ids: tuple[str, ...]


@record
class Call:
    """Carry out an operation of the table of operations on your own node. `arguments`: JSON text. Asked, not told."""

    operation: str
    arguments: str
    actor: str


@record
class Result:
    """What an operation answered: JSON text; or the title and text of its error."""

    value: str | None = None
    title: str | None = None
    message: str = ""


PeerMessage = Offer | Declined | Wake | Call | Result
