"""The secrets that webhooks are signed with: a file beside the configuration, in which definitions name what they mean.

So who may read or export a definition learns the name of a secret and not the secret. A name belongs to one tenant: nobody has
something signed as if it were another one's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from actors.herald_messages import Delivery, DeliveryFailed
from actors.model.event import Webhook
from runtime.clock import SECOND
from runtime.errors import InvalidRequest
from runtime.world import World

from .. import webhooks

LANE: Final = "secrets"
"""The thread lane that reads the file."""

LARGEST: Final = 1024 * 1024
"""Bytes of the file: some ten thousand secrets."""

MOST_SECRETS: Final = 4
"""That hold at once under one name: a rotation needs two."""

Secrets = dict[str, tuple[bytes, ...]]
"""Name, after its tenant and a slash if it has one -> keys."""

Sign = Callable[[Delivery, bytes], Awaitable[dict[str, str]]]
"""The headers that a delivery's request gets for its body. Raises DeliveryFailed."""


def signer(file: Path | None, world: World) -> Sign:
    """Signs with the secrets in a file, read at each delivery: a rotation needs no restart."""

    async def sign(delivery: Delivery, body: bytes) -> dict[str, str]:
        action = delivery.action
        assert isinstance(action, Webhook)
        if action.secret is None:
            return {}
        if file is None:
            raise DeliveryFailed(f"it wants the secret {action.secret!r}, and webhooks.secrets_file names no file")
        try:
            found = await world.blocking(read_secrets, file, lane=LANE)
        except InvalidRequest as error:
            raise DeliveryFailed(str(error)) from error
        tenant = delivery.facts["task"]["tenant"]
        # A name has no slash, whatever a definition says: what stands before it would be another tenant.
        known = found if "/" not in action.secret else {}
        keys = known.get(f"{tenant}/{action.secret}" if tenant else action.secret)
        if keys is None:
            whose = f" of tenant {tenant!r}" if tenant else ""
            raise DeliveryFailed(f"webhooks.secrets_file has no secret {action.secret!r}{whose}")
        return webhooks.signed(delivery.id, world.now() // SECOND, body, keys)

    return sign


async def unsigned(delivery: Delivery, _: bytes) -> dict[str, str]:
    """Signs nothing, and refuses what would have to be signed."""
    assert isinstance(delivery.action, Webhook)
    if delivery.action.secret is not None:
        raise DeliveryFailed(f"it wants the secret {delivery.action.secret!r}, and there are none here", permanent=True)
    return {}


def read_secrets(file: Path) -> Secrets:
    """What the file holds. Raises InvalidRequest that names the line and shows no secret."""
    try:
        with file.expanduser().open("rb") as opened:
            content = opened.read(LARGEST + 1)
        text = content.decode()
    except OSError as error:
        raise InvalidRequest(f"webhooks.secrets_file: {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"webhooks.secrets_file: {file} is no text") from None
    if len(content) > LARGEST:
        raise InvalidRequest(f"webhooks.secrets_file: {file} has more than {LARGEST} bytes")
    found: Secrets = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        name, *given = words
        where = f"webhooks.secrets_file: {file}, line {number}"
        if name in found:
            raise InvalidRequest(f"{where}: {name!r} is there twice; what holds during a rotation stands in one line")
        if not 1 <= len(given) <= MOST_SECRETS:
            raise InvalidRequest(f"{where}: a name and one to {MOST_SECRETS} secrets, not {len(given)}")
        try:
            found[name] = tuple(webhooks.key_of(one) for one in given)
        except ValueError as error:
            raise InvalidRequest(f"{where}: {error}") from None
    return found
