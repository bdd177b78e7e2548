"""RabbitMQ as child processes for the tests: a broker of its own on loopback, with its own port mapper, and without plugins.

Debian's packages bring it. It takes its cookie from the home directory, so that each broker has a directory of its own for
everything; as root it runs as the user `rabbitmq`, whom the package makes.
"""

from __future__ import annotations

import logging
import os
import pwd
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final

import pika
import pika.exceptions
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from runtime.errors import NotFound
from tests.certificates import make_authority, make_certificate
from tests.servers import server_directory
from tocsin.embedded.ports import LOOPBACK, free_port
from tocsin.embedded.process import Account, ServerProcess

INSTALL_HINT: Final = "apt-get install rabbitmq-server"
USER: Final = "tocsin"

READY_SECONDS: Final = 120.0
"""A start takes 5 s on a machine with nothing else to do."""

STOP_SECONDS: Final = 30.0
MAPPER_SECONDS: Final = 10.0

_SERVER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_MAPPER: Final = Path("/usr/bin/epmd")
_ACCOUNT: Final = "rabbitmq"

# Asking whether a broker takes connections yet would fill the logs of tests.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class RabbitMQ:
    """One broker whose files are all under `directory`, which the user `rabbitmq` must be able to enter."""

    def __init__(self, directory: Path) -> None:
        missing = [str(path) for path in (_SERVER, _MAPPER) if not path.exists()]
        if missing:
            raise NotFound(f"RabbitMQ is not installed, {' and '.join(missing)} missing: {INSTALL_HINT}")
        self.directory: Final = directory.absolute()
        self.port: Final = free_port()
        self.tls_port: Final = free_port()
        self.password: Final = secrets.token_urlsafe(16)
        account = _account()
        self._prepare(account)
        mapper_port = free_port()
        environment = {
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(mapper_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "RABBITMQ_LOG_BASE": str(self.directory / "logs"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_NODENAME": "tocsin@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false +S 1:1 +sbwt none",
        }
        self._mapper = ServerProcess(
            "Erlang's port mapper",
            [str(_MAPPER), "-port", str(mapper_port), "-address", LOOPBACK],
            folder=self.directory,
            log=self.directory / "mapper.log",
            environment=environment,
            account=account,
        )
        self._mapper_port = mapper_port
        self._broker = ServerProcess(
            "RabbitMQ",
            # The script becomes the broker in this mode, so that its process is the one that is killed.
            [str(_SERVER), "-noinput"],
            folder=self.directory,
            log=self.directory / "log",
            environment=environment,
            account=account,
        )

    @property
    def url(self) -> str:
        """Where clients connect, with the password."""
        return f"amqp://{USER}:{self.password}@{LOOPBACK}:{self.port}/%2F"

    @property
    def tls_url(self) -> str:
        """The same under TLS, by the name that its certificate has."""
        return f"amqps://{USER}:{self.password}@localhost:{self.tls_port}/%2F"

    @property
    def authority(self) -> Path:
        """Who signed its certificate."""
        return self.directory / "ca.pem"

    @property
    def running(self) -> bool:
        """Whether the broker's process lives."""
        return self._broker.running

    def start(self) -> None:
        """Start it; returns when it takes connections. Raises Conflict with its last words."""
        if not self._mapper.running:
            self._mapper.start()
            self._mapper.wait_ready(lambda: _listens(self._mapper_port), MAPPER_SECONDS)
        self._broker.start()
        self._broker.wait_ready(self._takes_connections, READY_SECONDS)

    def stop(self) -> None:
        """End the broker in order; durable queues and persistent messages are there again after the next start."""
        self._broker.stop(signal.SIGTERM, STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL to the broker and its port mapper."""
        self._broker.kill()
        self._mapper.kill()

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """A connection of the test's own, with confirms on: what it publishes is there when it returns."""
        connection = pika.BlockingConnection(pika.URLParameters(f"{self.url}?heartbeat=0&socket_timeout=10"))
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel
        finally:
            # The broker may be gone by then, when a test has taken it away.
            with suppress(pika.exceptions.AMQPError):
                connection.close()

    def __enter__(self) -> RabbitMQ:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def _prepare(self, account: Account | None) -> None:
        for folder in ("logs", "mnesia"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        pem = make_certificate(self.directory, make_authority(self.directory), "localhost")
        tls = {
            "listeners.ssl.1": f"{LOOPBACK}:{self.tls_port}",
            "ssl_options.cacertfile": pem.ca,
            "ssl_options.certfile": pem.certificate,
            "ssl_options.keyfile": pem.key,
            "ssl_options.verify": "verify_none",
        }
        files: dict[str, tuple[str, int]] = {
            ".erlang.cookie": (secrets.token_hex(16), 0o400),
            "plugins": ("[].\n", 0o644),
            "rabbitmq.conf": (
                f"default_user = {USER}\ndefault_pass = {self.password}\nloopback_users = none\n"
                "vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 10MB\nlog.file.level = warning\n"
                + "".join(f"{key} = {value}\n" for key, value in tls.items()),
                0o600,
            ),
        }
        for name, (text, mode) in files.items():
            path = self.directory / name
            path.write_text(text, encoding="ascii")
            path.chmod(mode)
        if account is not None:
            for path in (self.directory, *self.directory.iterdir()):
                os.chown(path, account.uid, account.gid)

    def _takes_connections(self) -> bool:
        parameters = pika.URLParameters(f"{self.url}?socket_timeout=5&stack_timeout=5&blocked_connection_timeout=5")
        try:
            pika.BlockingConnection(parameters).close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQ]:
    """One broker; take queues of your own. Tests that stop it start it again."""
    with server_directory("rabbitmq") as directory, RabbitMQ(directory / "broker") as broker:
        yield broker


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        raise NotFound(f"there is no user {_ACCOUNT}: {INSTALL_HINT}") from None
    return Account(entry.pw_uid, entry.pw_gid)


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
