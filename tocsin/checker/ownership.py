"""Who owned what: one owner for every partition after healing, and no commit under an epoch that was not the newest."""

from __future__ import annotations

from collections import Counter

from .trial import Case
from .verdict import Kind


def check_owners(case: Case) -> None:
    """Every partition has one owner, the node that takes it for its own is that of the boot in the store, and that boot lives.

    Where nobody asked the store, the nodes' word has to do.
    """
    owners = case.history.ownership
    if owners is None:
        return
    for partition in range(case.history.partitions):
        said = sorted(node for node, owned in owners.said.items() if partition in owned)
        stored = owners.live.get(owners.stored.get(partition, "")) if owners.stored else next(iter(said), None)
        if stored is None or said != [stored]:
            text = f"partition {partition}: owned, as the nodes say, by {said or 'nobody'}, in the store by {stored}"
            case.found.add(Kind.OWNERSHIP, "", case.history.ended_at, text)


def check_writes(case: Case) -> None:
    """No commit was accepted under a superseded epoch, and no epoch belongs to two boots."""
    boots: dict[tuple[int, int], str] = {}
    highest: dict[int, int] = {}
    for write in sorted(case.history.writes or (), key=lambda one: one.at):
        if not write.accepted:
            continue
        what = f"{write.what or 'a commit'} of {write.boot} under epoch {write.epoch} of partition {write.partition}"
        newest = max(write.highest, highest.get(write.partition, 0))
        if write.epoch < newest:
            case.found.add(Kind.STALE_WRITE, "", write.at, f"{what} was accepted, the newest is {newest}")
        highest[write.partition] = max(newest, write.epoch)
        owner = boots.setdefault((write.partition, write.epoch), write.boot)
        if owner != write.boot:
            case.found.add(Kind.STALE_WRITE, "", write.at, f"{what}, an epoch that was {owner}'s")


def check_drains(case: Case) -> None:
    """A node that is told to drain soon acts for no partition any more, unless something else goes wrong besides."""
    nodes = {attempt.boot: attempt.node for trial in case.trials for attempt in trial.attempts.values() if attempt.boot}
    ended, drains = case.history.ended_at, [span for span in case.history.spans if span.kind == "drain"]
    for drain in drains:
        until = ended if drain.end is None else drain.end
        others = [span for span in case.history.spans if span.kind not in ("drain", "paused")]
        if any(one.begin <= until and (one.end or ended) + case.bounds.heal >= drain.begin for one in others):
            continue
        for write in case.history.writes or ():
            is_late = drain.begin + case.bounds.lateness < write.at < until
            if is_late and write.accepted and nodes.get(write.boot) == drain.subject:
                text = f"{drain.subject} drains since {drain.begin}, and acts for partition {write.partition}"
                case.found.add(Kind.OWNERSHIP, "", write.at, text)
                break


def takeovers(case: Case) -> int | None:
    """How often a partition went on under another epoch; None where nobody watched."""
    if case.history.writes is None:
        return None
    epochs = {(write.partition, write.epoch) for write in case.history.writes if write.accepted}
    return sum(number - 1 for number in Counter(partition for partition, _ in epochs).values())
