"""What a node does outside of itself when event triggers want it: requests and mails, as the configuration allows."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import cast

from actors.herald_messages import Perform
from actors.model.event import Action, Email, Webhook
from runtime.world import World

from .handlers.mail import Encryption, MailServer, mail_sender, no_mail
from .handlers.webhook import webhook_sender
from .handlers.webhook_signing import signer
from .settings.config import Config


def actions_of(config: Config, world: World) -> Mapping[type[Action], Perform]:
    """Who does which action."""
    allowed = [ip_network(network) for network in config.webhooks_allowed]
    server = mail_server(config)
    secrets = Path(config.webhooks_secrets_file) if config.webhooks_secrets_file else None
    webhook = webhook_sender(allowed, signer(secrets, world))
    return {Webhook: webhook, Email: no_mail if server is None else mail_sender(server, world)}


def mail_server(config: Config) -> MailServer | None:
    """Where mails go, None for nowhere."""
    if not config.mail_server:
        return None
    host, _, port = config.mail_server.rpartition(":")
    return MailServer(
        host.strip("[]"),
        int(port),
        config.mail_sender,
        cast(Encryption, config.mail_encryption),
        config.mail_user or None,
        Path(config.mail_password_file).expanduser() if config.mail_password_file else None,
    )
