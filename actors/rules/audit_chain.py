"""The audit log as chains of hashes: each record's hash covers the record and the hash of the one before it.

Whoever changes or removes a record in the store breaks the chain there, unless he writes anew all that follows and the chain's
head. Who keeps a head somewhere else finds that out too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from ..store.access import AuditRow, ChainHead
from ..store.port import Audit


def digest(before: str, chain: int, number: int, audit: Audit) -> str:
    """The hash of a record that follows the one with the hash `before`; '' for the first of a chain."""
    parts: tuple[str, ...] = (
        before, str(chain), str(number), str(int(audit.at)), audit.actor, audit.action, audit.task_id, audit.detail,
        audit.tenant,
    )  # fmt: skip
    if audit.origin or audit.change:
        parts = (*parts, audit.origin, audit.change)
    encoded = [part.encode() for part in parts]
    return hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in encoded)).hexdigest()


def faults(head: ChainHead, number: int, before: str, rows: Sequence[AuditRow]) -> list[str]:
    """What is wrong with records of a chain that follow the one with this number and hash; empty if nothing is.

    head: the chain's head as it was when the records were read, or earlier.
    """
    found = []
    for row in rows:
        if row.number != number + 1:
            found.append(f"chain {head.chain}: {_missing(number + 1, row.number - 1)}")
        elif row.hash != digest(before, head.chain, row.number, row.audit):
            found.append(f"chain {head.chain}: record {row.number} is not as it was written")
        if row.number == head.number and row.hash != head.hash:
            found.append(f"chain {head.chain}: record {row.number} does not fit the chain's head")
        number, before = row.number, row.hash
    return found


def end_fault(head: ChainHead, number: int, before: str) -> str | None:
    """What is wrong with the end of a chain whose last record has this number and hash."""
    if number < head.number:
        return f"chain {head.chain}: {_missing(number + 1, head.number)}"
    if number == head.number and before != head.hash:
        return f"chain {head.chain}: its end does not fit its head"
    return None


def _missing(first: int, last: int) -> str:
    if last < first:
        return f"record {first} is there twice"
    return f"record {first} is missing" if first == last else f"records {first} to {last} are missing"


def seal(heads: Iterable[ChainHead]) -> str:
    """The state of all chains as one line, to be kept elsewhere: a later log must contain it."""
    return " ".join(f"{head.chain}:{head.number}:{head.hash}" for head in heads)
