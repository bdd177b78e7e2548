"""Mails handed to a real server on the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.herald_messages import Delivery, DeliveryFailed
from actors.model.event import Email, Webhook
from runtime.clock import SECOND, Instant
from runtime.world import RealWorld
from tests.tocsin.mail_kit import Mailbox, mail_server
from tests.tocsin.test_webhook import FACTS, delivery
from tocsin.actions import actions_of
from tocsin.actions import mail_server as server_of
from tocsin.handlers.mail import MAX_SUBJECT, MailServer, composed, mail_sender, no_mail
from tocsin.settings.config import Config

NOW = Instant(1_767_225_605 * SECOND)
TO = ("ops@example.org", "dev@example.org")


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as made:
        yield made


async def send(mailbox: Mailbox, one: Delivery, **fields: Any) -> str:
    plain = MailServer("127.0.0.1", mailbox.port, "Tocsin <tocsin@example.org>", "NONE")
    return await mail_sender(attrs.evolve(plain, **fields), RealWorld())(one)


async def test_the_standard_mail(mailbox: Mailbox) -> None:
    assert await send(mailbox, delivery(Email(TO))) == "sent by 127.0.0.1"
    ((sender, to, mail),) = mailbox.mails
    assert (sender, to) == ("tocsin@example.org", list(TO))
    assert mail["Subject"] == 'the "nightly": FAILED'
    assert mail["To"] == "ops@example.org, dev@example.org"
    assert mail["Message-ID"] == "<d1@example.org>"
    assert (mail["Tocsin-Delivery"], mail["Auto-Submitted"]) == ("d1", "auto-generated")
    assert mail["Date"]
    assert "Failure:    ValueError: no" in mail.get_content()


async def test_a_mail_of_ones_own(mailbox: Mailbox) -> None:
    await send(
        mailbox, delivery(Email(TO[:1], "{task.name} für {result.rows} rows", "Käse: {execution.failure.message}\n.\n"))
    )
    ((_, _, mail),) = mailbox.mails
    assert mail["Subject"] == 'the "nightly" für 3 rows'
    assert mail.get_content().splitlines() == ["Käse: no", "rows", "."]


def test_what_a_handler_wrote_becomes_no_header() -> None:
    facts = {"task": {**FACTS["task"], "name": "x\r\nBcc: all@example.org\x00\udcff" + "y" * 500}}
    mail = composed(delivery(Email(TO), **facts), "tocsin@localhost", NOW)
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("x Bcc: all@example.org ")
    assert len(mail["Subject"]) <= MAX_SUBJECT
    assert mail.as_bytes().count(b"\nSubject:") == 1


@given(st.text(), st.text())
def test_whatever_a_handler_wrote_can_be_sent(name: str, result: str) -> None:
    facts = {"task": {**FACTS["task"], "name": name}, "result": result}
    mail = composed(delivery(Email(TO, "{task.name}", "{result}"), **facts), "tocsin@localhost", NOW)
    assert b"\nTo: ops@example.org, dev@example.org\n" in mail.as_bytes()
    assert mail.keys().count("Subject") == 1


@pytest.mark.parametrize(("answer", "permanent"), [("550 unknown", True), ("450 later", False)])
async def test_addressees_that_are_all_refused(answer: str, permanent: bool, mailbox: Mailbox) -> None:
    mailbox.refused = dict.fromkeys(TO, answer)
    with pytest.raises(DeliveryFailed, match="every addressee was refused") as caught:
        await send(mailbox, delivery(Email(TO)))
    assert caught.value.permanent is permanent


async def test_an_addressee_that_is_refused_is_named(mailbox: Mailbox) -> None:
    mailbox.refused = {TO[0]: "550 unknown"}
    assert await send(mailbox, delivery(Email(TO))) == "sent by 127.0.0.1, refused for ops@example.org"
    assert mailbox.mails[0][1] == [TO[1]]


@pytest.mark.parametrize(("answer", "permanent"), [("554 spam", True), ("451 disk full", False)])
async def test_a_mail_that_is_refused(answer: str, permanent: bool, mailbox: Mailbox) -> None:
    mailbox.data = answer
    with pytest.raises(DeliveryFailed, match=answer[:3]) as caught:
        await send(mailbox, delivery(Email(TO)))
    assert caught.value.permanent is permanent


async def test_logging_in_with_a_password_from_a_file(mailbox: Mailbox, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\nrest")
    mailbox.password = "secret"
    await send(mailbox, delivery(Email(TO)), user="me", password_file=file)
    assert (mailbox.logins, len(mailbox.mails)) == ([("me", "secret")], 1)
    mailbox.password = "other"
    with pytest.raises(DeliveryFailed, match="535") as caught:
        await send(mailbox, delivery(Email(TO)), user="me", password_file=file)
    assert not caught.value.permanent
    assert "secret" not in str(caught.value)
    with pytest.raises(DeliveryFailed, match="password_file"):
        await send(mailbox, delivery(Email(TO)), user="me")
    with pytest.raises(DeliveryFailed, match="No such file"):
        await send(mailbox, delivery(Email(TO)), user="me", password_file=tmp_path / "no")


@pytest.mark.parametrize("encryption", ["STARTTLS", "TLS"])
async def test_nothing_is_said_in_the_clear_where_encryption_is_wanted(encryption: str, mailbox: Mailbox) -> None:
    with pytest.raises(DeliveryFailed):
        await send(mailbox, delivery(Email(TO)), encryption=encryption, user="me")
    assert (mailbox.mails, mailbox.logins) == ([], [])


async def test_a_server_that_is_not_there() -> None:
    with mail_server() as gone:
        pass
    with pytest.raises(DeliveryFailed, match="refused") as caught:
        await send(gone, delivery(Email(TO)))
    assert not caught.value.permanent


async def test_a_node_without_a_mail_server() -> None:
    with pytest.raises(DeliveryFailed, match="names no server") as caught:
        await no_mail(delivery(Email(TO)))
    assert caught.value.permanent
    assert server_of(Config()) is None
    assert actions_of(Config(), RealWorld())[Email] is no_mail


def test_the_configuration_names_the_server() -> None:
    config = Config(mail_server="[::1]:587", mail_user="me", mail_password_file="/x", mail_encryption="TLS")
    assert server_of(config) == MailServer("::1", 587, "tocsin@localhost", "TLS", "me", Path("/x"))
    assert set(actions_of(config, RealWorld())) == {Email, Webhook}
