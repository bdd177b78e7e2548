"""Telling another actor what it can do without: for notes whose loss something else makes good."""

from __future__ import annotations

from typing import Protocol, TypeVar

from runtime.errors import ActorStopped, MailboxFull

M = TypeVar("M", contravariant=True)


class Address(Protocol[M]):
    """Where messages of a kind can be sent: a `Mailbox`, or whatever stands for one."""

    def tell_nowait(self, message: M) -> None:
        """Put a message in, or raise MailboxFull or ActorStopped at once."""
        ...


def hint(address: Address[M], message: M) -> bool:
    """Tell without waiting; False if the receiver is full or gone. The receiver finds out by itself, later."""
    try:
        address.tell_nowait(message)
    except (MailboxFull, ActorStopped):
        return False
    return True
