"""The action `email`: a mail handed to the server that the configuration names, by the standard library's client in a thread."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Final, Literal

import attrs

from actors.herald_messages import Delivery, DeliveryFailed
from actors.herald_text import filled, subject, summary
from actors.model.event import Email
from runtime.clock import SECOND, Instant
from runtime.world import World

STEP_SECONDS: Final = 10.0
"""For each step of the conversation with the server."""

MAX_SUBJECT: Final = 200
"""Characters of a subject."""

LANE: Final = "mail"
"""The thread lane of mails: one at a time, servers dislike more."""

Encryption = Literal["STARTTLS", "TLS", "NONE"]


@attrs.frozen
class MailServer:
    """Where mails go. `password_file` holds the password of `user` in its first line, read at each mail."""

    host: str
    port: int
    sender: str
    encryption: Encryption = "STARTTLS"
    user: str | None = None
    password_file: Path | None = None


def mail_sender(server: MailServer, world: World) -> Callable[[Delivery], Awaitable[str]]:
    """The action."""

    async def send(delivery: Delivery) -> str:
        mail = composed(delivery, server.sender, world.now())
        return await world.blocking(_send, server, mail, lane=LANE, abandon=True)

    return send


async def no_mail(_: Delivery) -> str:
    """The action of a node that has no mail server."""
    raise DeliveryFailed("mail.server of the configuration names no server", permanent=True)


def composed(delivery: Delivery, sender: str, now: Instant) -> EmailMessage:
    """The mail of a delivery. The same delivery gives the same Message-ID, by which receivers drop a repetition."""
    action = delivery.action
    assert isinstance(action, Email)
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(action.to)
    mail["Subject"] = _line(subject(delivery) if action.subject is None else filled(action.subject, delivery))
    mail["Date"] = formatdate(now / SECOND)
    mail["Message-ID"] = f"<{delivery.id}@{_line(sender).rpartition('@')[2].strip('>') or 'tocsin'}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["Tocsin-Delivery"] = delivery.id
    mail.set_content(_text(summary(delivery) if action.body is None else filled(action.body, delivery)))
    return mail


def _line(text: str) -> str:
    """One line without control characters: what a handler wrote must not become a header."""
    shown = "".join(one if one.isprintable() else " " for one in text)
    return _text(" ".join(shown.split()))[:MAX_SUBJECT]


def _text(text: str) -> str:
    """The text without halves of characters, which cannot be sent."""
    return text.encode(errors="replace").decode()


def _send(server: MailServer, mail: EmailMessage) -> str:
    try:
        with _connected(server) as connection:
            if server.user is not None:
                connection.login(server.user, _password(server))
            refused = connection.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        permanent = all(code >= 500 for code, _ in error.recipients.values())
        raise DeliveryFailed(f"every addressee was refused: {error.recipients}", permanent=permanent) from error
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        raise DeliveryFailed(str(error), permanent=error.smtp_code >= 500) from error
    except smtplib.SMTPNotSupportedError as error:
        raise DeliveryFailed(str(error), permanent=True) from error
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise DeliveryFailed(f"{type(error).__name__}: {error}") from error
    return f"sent by {server.host}" + (f", refused for {', '.join(sorted(refused))}" if refused else "")


def _connected(server: MailServer) -> smtplib.SMTP:
    if server.encryption == "TLS":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=STEP_SECONDS, context=ssl.create_default_context())
    connection = smtplib.SMTP(server.host, server.port, timeout=STEP_SECONDS)
    if server.encryption == "STARTTLS":
        try:
            connection.starttls(context=ssl.create_default_context())
        except BaseException:
            with suppress(smtplib.SMTPException, OSError):
                connection.close()
            raise
    return connection


def _password(server: MailServer) -> str:
    if server.password_file is None:
        raise DeliveryFailed("mail.user is given without mail.password_file", permanent=True)
    return server.password_file.read_text(encoding="utf-8").split("\n", 1)[0]
