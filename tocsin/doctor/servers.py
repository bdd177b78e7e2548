"""What is looked at of the servers that a cluster stands on: PostgreSQL and ZooKeeper, their settings and their clocks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from actors.cluster_config import ClusterConfig
from actors.store.postgres_check import PostgresFacts
from actors.store.postgres_check import look as look_at_postgres
from actors.store.postgres_link import PostgresLimits
from runtime.errors import TocsinError
from runtime.zookeeper_check import ServerFacts
from runtime.zookeeper_check import look as look_at_zookeeper
from runtime.zookeeper_settings import ClientTls, Credentials, ZooKeeperSettings

from .findings import Finding, bad, good, warning

ANSWER_SECONDS: Final = 5.0
"""How long a server may take: as a session, after which a node would take it for gone."""

OLDEST_POSTGRES: Final = 14
"""The oldest major version that is still maintained."""

CONNECTIONS: Final = 10
"""So many a node needs at most, and so many should be free."""

OFFSET_WARNING: Final = 0.25
OFFSET_BAD: Final = 2.0
"""Seconds. Times are those of the node that fires: another clock shows it early or late by so much."""

UNSAFE: Final = {
    "fsync": "what was acknowledged is lost when the machine stops: fsync = on",
    "full_page_writes": "pages may be torn when the machine stops: full_page_writes = on",
    "synchronous_commit": "what was acknowledged may be lost: synchronous_commit = on",
}


def of_postgres(url: str) -> Iterator[Finding]:
    """The store's server."""
    try:
        before = time.time()
        facts = look_at_postgres(url, PostgresLimits(connect=ANSWER_SECONDS, answer=ANSWER_SECONDS))
        middle = (before + time.time()) / 2
    except TocsinError as error:
        yield bad("PostgreSQL", str(error), "start it, or mend store.url, its password or pg_hba.conf")
        return
    yield from postgres_findings(facts)
    yield offset_finding("PostgreSQL", facts.now / 1e6 - middle)


def postgres_findings(facts: PostgresFacts) -> Iterator[Finding]:
    """What follows from what the server tells."""
    subject, settings = "PostgreSQL", facts.settings
    if int(facts.version.split(".")[0].split(" ")[0]) < OLDEST_POSTGRES:
        yield warning(subject, f"version {facts.version}", f"nobody maintains it: {OLDEST_POSTGRES} or newer")
    else:
        yield good(subject, f"answers, version {facts.version}")
    for name, advice in UNSAFE.items():
        if settings.get(name) == "off":
            yield bad(subject, f"{name} is off", advice)
    if facts.follower or settings.get("default_transaction_read_only") == "on":
        yield bad(subject, "it can only be read", "store.url has to name the primary")
    free = int(settings.get("max_connections", "0")) - facts.connections
    if free < CONNECTIONS:
        yield warning(
            subject, f"{free} connections are free", f"raise max_connections: a node needs up to {CONNECTIONS}"
        )


def of_zookeeper(config: ClusterConfig) -> Iterator[Finding]:
    """Each of the coordination servers, and what they are together."""
    tls, credentials = config.coordination_tls, config.credentials
    settings = ZooKeeperSettings(
        config.servers,
        config.root,
        config.session_seconds,
        None if credentials is None else Credentials(*credentials),
        None if tls is None else ClientTls(tls.ca, tls.certificate, tls.key),
    )
    found: list[ServerFacts] = []
    for server in config.servers:
        try:
            facts = look_at_zookeeper(server, settings, ANSWER_SECONDS)
        except TocsinError as error:
            yield bad("ZooKeeper", str(error), "start it, or mend coordination.servers")
            continue
        found.append(facts)
        yield good(
            "ZooKeeper", f"{server} answers, version {facts.version or 'unknown'}, {facts.mode or 'mode not told'}"
        )
        if facts.now is not None:
            yield offset_finding(f"ZooKeeper {server}", facts.now / 1e6 - time.time())
    yield from together(found, config)


def together(found: list[ServerFacts], config: ClusterConfig) -> Iterator[Finding]:
    """What the servers that answered are as a whole."""
    asked = len(config.servers)
    if 2 * len(found) <= asked:
        yield bad("ZooKeeper", f"{len(found)} of {asked} servers answer", "without a majority nobody can take over")
    elif asked < 3 or asked % 2 == 0:
        what = f"{asked} server{'s' if asked > 1 else ''}"
        yield warning("ZooKeeper", what, "three or five on machines of their own go on when one is gone")
    if config.credentials is None:
        advice = "whoever reaches the servers may change what is kept: coordination.credentials_file"
        yield warning("ZooKeeper", "no credentials", advice)


def offset_finding(whose: str, seconds: float) -> Finding:
    """How far another clock is from ours."""
    what = f"{whose}: {seconds:+.3f} s from this machine's"
    if abs(seconds) > OFFSET_BAD:
        return bad("clock", what, "let chrony or ntpd keep both clocks")
    if abs(seconds) > OFFSET_WARNING:
        return warning("clock", what, "let chrony or ntpd keep both clocks")
    return good("clock", what)
