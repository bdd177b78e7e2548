"""JSON that handlers hand over: results, checkpoints, progress. Checked where it is given, with what is wrong named."""

from __future__ import annotations

import json
from typing import Any, Final

from runtime.errors import InvalidRequest, TooLarge

MAX_RESULT: Final = 256 * 1024
"""Bytes of JSON in a result; larger ones belong in a file or a database, the result says where."""

MAX_CHECKPOINT: Final = 256 * 1024
"""Bytes of JSON in a checkpoint: it is written in the store's one stream of commits, which all tasks share."""

MAX_PROGRESS: Final = 16 * 1024
"""Bytes of JSON in a progress report: it is shown to people, several times a second."""

_encoder: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_ascii_encoder: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def encode_json(value: object, limit: int, what: str) -> str:
    """JSON text of a value, at most `limit` bytes.

    A half of a surrogate pair, as in the name of a file that is not UTF-8, comes back as it was: the text is then all ASCII,
    with escapes, because UTF-8 cannot hold it otherwise.

    Raises InvalidRequest naming `what` and the type that JSON cannot hold, TooLarge naming size and limit.
    """
    try:
        text = _encoder.encode(value)
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        text = _ascii_encoder.encode(value)
        size = len(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{what} cannot be written as JSON: {error}") from None
    if size > limit:
        raise TooLarge(f"{what} has {size} bytes of JSON, the limit is {limit}")
    return text


def decode_json(text: str | None) -> Any:
    """The value of a JSON text; None for none."""
    return None if text is None else json.loads(text)
