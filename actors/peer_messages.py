"""What nodes tell each other beside gossip. All of it may be lost, doubled or late; the store decides what becomes of it."""

from __future__ import annotations

from typing import Final

from runtime.records import record


@record
class Offer:
    """The owner of their partitions: these tasks have executions that may be claimed by you (task id, execution id).

    stands: they are all that have to wait, and you may have to run them or to make way for them; not to be answered.
    """

    executions: tuple[tuple[str, str], ...]
    stands: bool = False


@record
class Declined:
    """The answer to an offer: these are not claimed here now."""

    executions: tuple[tuple[str, str], ...]


@record
class Call:
    """Carry out an operation of the table of operations on your own node. `arguments`: JSON text. Asked, not told.

    `actor`: who asked for it; `channel`: through what; `caller`: what he may do and see, JSON text.
    """

    operation: str
    arguments: str
    actor: str
    channel: str = "node"
    caller: str = ""


@record
class Result:
    """What an operation answered: JSON text; or the title and text of its error.

    `more`: the text goes on, and the rest is asked for under this key; one message does not hold all of it.
    """

    value: str | None = None
    title: str | None = None
    message: str = ""
    more: str | None = None


MESSAGES: Final = (Offer, Declined, Call, Result)
"""In the order of their tags: a new one comes last."""
