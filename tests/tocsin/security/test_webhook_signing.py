"""Webhooks are signed: a receiver knows whose they are, that nothing was changed, and that nobody sends them again."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.herald_messages import Delivery, DeliveryFailed
from actors.model.event import Action, Webhook
from runtime.clock import SECOND, Instant
from runtime.errors import InvalidRequest
from runtime.simulation import SimulatedWorld
from tests.tocsin.test_webhook import FACTS, LOOPBACK, Receiver, delivery, receiving
from tocsin import webhooks
from tocsin.handlers.webhook import webhook_sender
from tocsin.handlers.webhook_signing import read_secrets, signer
from tocsin.vocabulary.event_triggers import read_events

VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
VECTOR_AT = 1_614_265_330
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR_HEADERS = {
    "webhook-id": VECTOR_ID,
    "webhook-timestamp": str(VECTOR_AT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
"""The test vector that the specification's own libraries are tested with."""

OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()


def test_the_published_vector_is_made_and_verified() -> None:
    made = webhooks.signed(VECTOR_ID, VECTOR_AT, VECTOR_BODY, [webhooks.key_of(VECTOR_SECRET)])
    assert made == VECTOR_HEADERS
    assert webhooks.verify(VECTOR_BODY, VECTOR_HEADERS, VECTOR_SECRET, now=VECTOR_AT) == VECTOR_ID
    assert webhooks.verify(VECTOR_BODY.decode(), VECTOR_HEADERS, [OLD, VECTOR_SECRET], now=VECTOR_AT) == VECTOR_ID


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"webhook-id": "msg_other"}, "no signature"),
        ({"webhook-timestamp": str(VECTOR_AT + 1)}, "no signature"),
        ({"webhook-timestamp": "soon"}, "seconds since 1970"),
        ({"webhook-timestamp": "9" * 5000}, "seconds since 1970"),
        ({"webhook-signature": "v1,"}, "no signature"),
        ({"webhook-signature": "v2," + VECTOR_HEADERS["webhook-signature"][3:]}, "no signature"),
        ({"webhook-signature": VECTOR_HEADERS["webhook-signature"][3:]}, "no signature"),
        ({"webhook-signature": ""}, "missing"),
        ({"webhook-signature": "v1,\u00e4"}, "no signature"),
        ({"webhook-signature": "v1,x " * 16 + VECTOR_HEADERS["webhook-signature"]}, "no signature"),
    ],
)
def test_what_was_changed_is_refused(changed: dict[str, str], complaint: str) -> None:
    with pytest.raises(webhooks.InvalidSignature, match=complaint):
        webhooks.verify(VECTOR_BODY, VECTOR_HEADERS | changed, VECTOR_SECRET, now=VECTOR_AT)


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(0, 10**11))
def test_a_signature_is_of_one_body_and_one_time(body: bytes, other: bytes, at: int) -> None:
    headers = webhooks.signed("d1", at, body, [webhooks.key_of(NEW)])
    assert webhooks.verify(body, {name.title(): value for name, value in headers.items()}, NEW, now=at) == "d1"
    with pytest.raises(webhooks.InvalidSignature):
        webhooks.verify(body, headers, OLD, now=at)
    if body != other:
        with pytest.raises(webhooks.InvalidSignature):
            webhooks.verify(other, headers, NEW, now=at)


@pytest.mark.parametrize("away", [-301, 301])
def test_an_old_request_is_not_taken_again(away: int) -> None:
    with pytest.raises(webhooks.InvalidSignature, match="from now"):
        webhooks.verify(VECTOR_BODY, VECTOR_HEADERS, VECTOR_SECRET, now=VECTOR_AT + away)
    assert webhooks.verify(VECTOR_BODY, VECTOR_HEADERS, VECTOR_SECRET, now=VECTOR_AT + away, tolerance=400)
    with pytest.raises(webhooks.InvalidSignature, match="from now"):
        webhooks.verify(VECTOR_BODY, VECTOR_HEADERS, VECTOR_SECRET)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_%%%%", VECTOR_SECRET[6:], "whsec_c2hvcnQ=", "whsec_" + "A" * 88]
)
def test_what_is_no_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="a webhook secret is whsec_ and 24 to 64 bytes") as refused:
        webhooks.verify(VECTOR_BODY, VECTOR_HEADERS, secret, now=VECTOR_AT)
    assert len(secret) < 7 or secret not in str(refused.value)


# -- sent by a node

NOW = Instant(VECTOR_AT * SECOND)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    file = tmp_path / "secrets"
    file.write_text(f"# of the receivers\n\nbilling  {NEW} {OLD}\nacme/billing {VECTOR_SECRET}\n")
    return file


def hold(file: Path, text: str) -> None:
    file.write_text(text)


def sender(file: Path | None) -> Any:
    return webhook_sender(LOOPBACK, signer(file, SimulatedWorld(start=NOW)))


def of_tenant(made: Delivery, tenant: str) -> Delivery:
    return attrs.evolve(made, facts=made.facts | {"task": FACTS["task"] | {"tenant": tenant}})


def hook(receiver: Receiver, **more: Any) -> Delivery:
    action: Action = Webhook(receiver.url, **{"secret": "billing"} | more)
    return delivery(action)


async def test_a_request_is_signed_with_every_secret_that_holds(receiver: Receiver, secrets: Path) -> None:
    await sender(secrets)(hook(receiver, headers=(("webhook-id", "forged"), ("Webhook-Signature", "v1,forged"))))
    ((_, headers, body),) = receiver.requests
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (OLD, NEW):
        assert webhooks.verify(body, headers, secret, now=VECTOR_AT) == "d1"
    with pytest.raises(webhooks.InvalidSignature):
        webhooks.verify(body, headers, VECTOR_SECRET, now=VECTOR_AT)
    sent = repr(headers) + repr(body)
    assert not any(secret[6:] in sent for secret in (OLD, NEW, VECTOR_SECRET))


async def test_what_is_sent_is_what_was_signed(receiver: Receiver, secrets: Path) -> None:
    await sender(secrets)(hook(receiver, body="\u00e4 {task.name} \udc80"))
    ((_, headers, body),) = receiver.requests
    assert webhooks.verify(body, headers, NEW, now=VECTOR_AT)


async def test_a_rotation_needs_no_restart(receiver: Receiver, secrets: Path) -> None:
    send = sender(secrets)
    for held in (OLD, f"{NEW} {OLD}", NEW):
        hold(secrets, f"billing {held}\n")
        await send(hook(receiver))
    verified = []
    for _, headers, body in receiver.requests:
        for secret in (OLD, NEW):
            try:
                webhooks.verify(body, headers, secret, now=VECTOR_AT)
            except webhooks.InvalidSignature:
                verified.append(False)
            else:
                verified.append(True)
    assert verified == [True, False, True, True, False, True]


async def test_a_tenant_has_secrets_of_its_own(receiver: Receiver, secrets: Path) -> None:
    await sender(secrets)(of_tenant(hook(receiver), "acme"))
    ((_, headers, body),) = receiver.requests
    assert webhooks.verify(body, headers, VECTOR_SECRET, now=VECTOR_AT)
    for tenant, name in (("other", "billing"), ("", "acme/billing/x"), ("acme", "acme/billing")):
        with pytest.raises(DeliveryFailed, match="has no secret"):
            await sender(secrets)(of_tenant(hook(receiver, secret=name), tenant))
    assert len(receiver.requests) == 1


async def test_a_tenant_names_no_secret_of_another_by_its_path(receiver: Receiver, secrets: Path) -> None:
    """The task of no tenant must not name `acme/billing` either: then whoever makes such tasks signs for acme."""
    with pytest.raises(DeliveryFailed, match="has no secret"):
        await sender(secrets)(hook(receiver, secret="acme/billing"))
    hold(secrets, f"a/b/c {NEW}\n")
    with pytest.raises(DeliveryFailed, match="has no secret"):
        await sender(secrets)(of_tenant(hook(receiver, secret="b/c"), "a"))


async def test_without_its_secret_nothing_is_sent(receiver: Receiver, tmp_path: Path) -> None:
    for file, complaint in ((None, "names no file"), (tmp_path / "none", "No such file")):
        with pytest.raises(DeliveryFailed, match=complaint) as failed:
            await sender(file)(hook(receiver))
        assert not failed.value.permanent
    with pytest.raises(DeliveryFailed, match="'billing'"):
        await webhook_sender(LOOPBACK)(hook(receiver))
    assert receiver.requests == []
    await sender(None)(hook(receiver, secret=None))
    assert "webhook-signature" not in receiver.requests[0][1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"# a\nbilling {NEW}\nbilling {OLD}", "line 3: 'billing' is there twice"),
        ("billing", "line 1: a name and one to 4 secrets, not 0"),
        (f"billing {f'{NEW} ' * 5}", "line 1: a name and one to 4 secrets, not 5"),
        ("billing hunter2hunter2", "line 1: a webhook secret is whsec_"),
        ("x" * 1_100_000, "more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_none_is_refused_by_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "secrets"
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=complaint) as refused:
        read_secrets(file)
    assert "hunter2" not in str(refused.value)
    assert NEW not in str(refused.value)


@pytest.mark.parametrize("wrong", ["acme/billing", "", "a b", OLD, "a\nb", "x" * 129])
def test_a_definition_names_a_secret_and_does_not_hold_one(wrong: str) -> None:
    def events(secret: str) -> Any:
        return read_events(
            [{"name": "a", "actions": [{"kind": "webhook", "url": "https://a.example", "secret": secret}]}]
        )

    assert events("billing")[0].actions[0].secret == "billing"
    with pytest.raises(InvalidRequest, match="secret") as refused:
        events(wrong)
    assert OLD[6:] not in str(refused.value)
