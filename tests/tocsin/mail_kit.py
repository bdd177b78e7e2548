"""A mail server on the loopback interface: what RFC 5321 asks of a receiver, as far as a client needs it."""

from __future__ import annotations

import base64
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

import attrs


@attrs.define
class Mailbox:
    """What the server got. `refused`: addressees it does not take, each with its answer; `data`: its answer to a mail."""

    port: int = 0
    mails: list[tuple[str, list[str], EmailMessage]] = attrs.field(factory=list)
    refused: dict[str, str] = attrs.field(factory=dict)
    data: str = "250 taken"
    logins: list[tuple[str, str]] = attrs.field(factory=list)
    password: str | None = None


class _Conversation(socketserver.StreamRequestHandler):
    mailbox: Mailbox

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self) -> None:
        self.say("220 here")
        sender, to = "", []
        while line := self.rfile.readline():
            words = line.decode().strip()
            verb = words.split(" ")[0].upper()
            match verb:
                case "EHLO":
                    self.say("250-here")
                    self.say("250-AUTH PLAIN")
                    self.say("250 8BITMIME")
                case "AUTH":
                    self.log_in(words.split(" ")[2])
                case "MAIL":
                    sender, to = words.partition("<")[2].partition(">")[0], []
                    self.say("250 fine")
                case "RCPT":
                    address = words.partition("<")[2].partition(">")[0]
                    if address not in self.mailbox.refused:
                        to.append(address)
                    self.say(self.mailbox.refused.get(address, "250 fine"))
                case "DATA":
                    self.say("354 go on")
                    self.mail(sender, to)
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("250 fine" if verb in ("RSET", "NOOP") else "502 unknown")

    def log_in(self, token: str) -> None:
        _, user, password = base64.b64decode(token).decode().split("\0")
        self.mailbox.logins.append((user, password))
        self.say("235 come in" if password == self.mailbox.password else "535 no")

    def mail(self, sender: str, to: list[str]) -> None:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        if self.mailbox.data.startswith("2"):
            parsed = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(parsed, EmailMessage)
            self.mailbox.mails.append((sender, to, parsed))
        self.say(self.mailbox.data)


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A server that runs while the block does."""
    mailbox = Mailbox()
    handler = type("Conversation", (_Conversation,), {"mailbox": mailbox})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        mailbox.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield mailbox
        finally:
            server.shutdown()
            thread.join()
