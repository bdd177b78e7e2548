"""One row of the table of operations, and the arguments and errors that many rows share."""

from __future__ import annotations

from typing import Final, Literal

import attrs

from runtime import errors

Where = Literal["path", "query", "header", "body"]
Kind = Literal["text", "whole", "flag", "instant", "json"]
Permission = Literal["none", "viewer", "operator", "administrator", "worker"]


LONGEST_TEXT: Final = 512
"""Characters of one value in a query if its argument does not say: names have at most 128, each up to three escaped bytes."""


@attrs.frozen
class Argument:
    """One argument. `low` and `high` bound a whole number; `high` is the most characters of a text.

    default: the value of one that is absent.
    """

    name: str
    where: Where
    kind: Kind
    about: str
    required: bool = False
    default: object = None
    low: int = 0
    high: int = 0

    @property
    def longest(self) -> int:
        """Characters of a text, at most."""
        return (self.high if self.kind == "text" else 0) or LONGEST_TEXT


@attrs.frozen
class Operation:
    """One thing that can be asked of a node. `status` is the HTTP status of success, `seed`: also served under `/cxs`.

    whole: it concerns all tenants, so only a caller who belongs to none may ask for it. later: it answers 202, with the Location
    of what it began, if that has not ended yet.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    about: str
    permission: Permission
    arguments: tuple[Argument, ...] = ()
    status: int = 200
    errors: tuple[type[errors.TocsinError], ...] = ()
    seed: bool = False
    whole: bool = False
    later: bool = False

    @property
    def takes_body(self) -> bool:
        """Whether a JSON body belongs to it."""
        return any(argument.where == "body" for argument in self.arguments)


MAX_PAGE: Final = 1_000
"""Rows of one page: about a megabyte of JSON."""

TASK: Final = Argument(
    "task", "path", "text", "id, unique prefix of an id (8 characters at least), or name", required=True
)
EXECUTION: Final = Argument("execution", "path", "text", "id of an execution", required=True)
BODY: Final = Argument("body", "body", "json", "a JSON object", required=True)
OPTIONAL_BODY: Final = Argument("body", "body", "json", "a JSON object, or nothing")
OFFSET: Final = Argument("offset", "query", "whole", "rows to pass over", default=0, high=2**31 - 1)


def limit_of(default: int, high: int = MAX_PAGE) -> Argument:
    """How many rows a page has."""
    return Argument("limit", "query", "whole", "rows at most", default=default, high=high)


FIND: Final = (errors.NotFound, errors.Conflict)
CHANGE: Final = (errors.MailboxFull, errors.StoreUnavailable, errors.ReplyTimeout)
WRITE: Final = (*FIND, errors.StaleVersion, *CHANGE)
INPUT: Final = (errors.InvalidRequest, errors.TooLarge)
