"""What a token and a session look like, and what of them is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

PREFIX: Final = "toc"
"""Of every token: who finds one in a log or a repository knows what it is, and so do programs that search for secrets."""

SECRET_BYTES: Final = 32
"""256 bits: nobody guesses that, so a fast hash is enough to keep it by."""

ID_LENGTH: Final = 12
"""Characters of a token's id, which is no secret: it finds the row, and names the token to people."""

_FORM: Final = re.compile(rf"{PREFIX}_([0-9a-f]{{{ID_LENGTH}}})_([A-Za-z0-9_-]{{20,100}})")


def whole(token_id: str, secret: str) -> str:
    """A token as it is shown, once."""
    return f"{PREFIX}_{token_id}_{secret}"


def parts(text: str) -> tuple[str, str] | None:
    """Id and secret of what looks like a token."""
    found = _FORM.fullmatch(text)
    return None if found is None else (found[1], found[2])


def hashed(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def fits(secret: str, kept: str) -> bool:
    """Whether a secret is the one that was kept so; takes as long whatever is wrong with it."""
    return hmac.compare_digest(hashed(secret), kept)


def csrf_of(secret: str) -> str:
    """The text that proves that a request comes from a page that could read it, made of a session's secret."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()
