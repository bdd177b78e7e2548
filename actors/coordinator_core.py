"""The coordinator's decisions: from grants to ownership.

Theory of operation. A slot goes through: nothing -> granted (the coordination service says that this node may try) -> owned (the
store has raised the epoch for it). The epoch is raised before anything of the partition is read, so that what is read can no
longer be changed by the former owner. A revoked slot is dropped at once, also while its epoch is being raised: the answer
that comes afterwards is ignored. Epochs are announced as a whole, never as differences, so that a lost announcement is
made good by the next one.
"""

from __future__ import annotations

from typing import assert_never

from runtime.coordination_messages import Barred, Granted, MembersChanged, Revoked, SessionLost

from .coordinator_messages import Adopt, Announce, Directive, Event, Raise, Raised


class CoordinatorCore:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._granted: dict[int, int] = {}
        self._epochs: dict[int, int] = {}

    def handle(self, event: Event) -> list[Directive]:
        """Decide on one event."""
        match event:
            case Granted(grants=grants):
                self._granted.update(grants)
                return [Raise(grants)]
            case Raised():
                return self._raised(event)
            case Revoked(slots=slots):
                return self._drop(slots)
            case SessionLost():
                return self._drop(frozenset(self._granted) | frozenset(self._epochs))
            case MembersChanged() | Barred():
                return []
            case _:
                assert_never(event)

    def _raised(self, raised: Raised) -> list[Directive]:
        taken = {slot: epoch for slot, epoch in raised.epochs.items() if slot in self._granted}
        refused = raised.asked - raised.epochs.keys()
        lost = refused & self._epochs.keys()
        for slot in refused:
            self._granted.pop(slot, None)
            self._epochs.pop(slot, None)
        self._epochs.update(taken)
        announced: list[Directive] = [Announce(dict(self._epochs))] if taken or lost else []
        return [*announced, Adopt(frozenset(taken))] if taken else announced

    def _drop(self, slots: frozenset[int]) -> list[Directive]:
        for slot in slots:
            self._granted.pop(slot, None)
            self._epochs.pop(slot, None)
        return [Announce(dict(self._epochs))]

    def check_invariants(self) -> None:
        """Raise AssertionError if a slot is owned that was not granted."""
        assert self._epochs.keys() <= self._granted.keys(), f"owned without a grant: {self._epochs}, {self._granted}"
