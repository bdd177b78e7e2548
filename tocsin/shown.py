"""A wrong value as an error message repeats it, and what may have been meant by it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_SHOWN: Final = 80
"""Characters of a wrong value that an error repeats."""


def show(value: object) -> str:
    """A value for an error message, cut to a line. One that cannot be written out is named by its type."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    except ValueError:
        # Python writes out no number of more than 4,300 digits.
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def suggestion(word: str, known_words: Iterable[str]) -> str:
    """`; did you mean ...?` with the nearest known word, or nothing."""
    near = difflib.get_close_matches(word[:64], list(known_words), n=1, cutoff=0.6)
    return f"; did you mean {str(near[0])!r}?" if near else ""
