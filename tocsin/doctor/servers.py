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
    "fsync": "what was acknowledged is lost when the machine stops",
    "full_page_writes": "pages may be torn when the machine stops",
    "synchronous_commit": "what was acknowledged may be lost when the server stops",
}
"""Settings that must not be off, and what comes of it if they are."""


def of_postgres(url: str) -> Iterator[Finding]:
    """The store's server."""
    try:
        before = time.time()
        facts = look_at_postgres(url, PostgresLimits(connect=ANSWER_SECONDS, answer=ANSWER_SECONDS))
        middle = (before + time.time()) / 2
    except TocsinError as error:
        why = "nothing can be saved: a node without its store fires nothing"
        yield bad("PostgreSQL", str(error), why, "start it, or mend store.url, its password or pg_hba.conf")
        return
    yield from postgres_findings(facts)
    yield offset_finding("PostgreSQL", facts.now / 1e6 - middle)


def postgres_findings(facts: PostgresFacts) -> Iterator[Finding]:
    """What follows from what the server tells."""
    subject, settings = "PostgreSQL", facts.settings
    if int(facts.version.split(".")[0].split(" ")[0]) < OLDEST_POSTGRES:
        why = "nobody mends its faults any more"
        yield warning(subject, f"version {facts.version}", why, f"move to version {OLDEST_POSTGRES} or newer")
    else:
        yield good(subject, f"answers, version {facts.version}")
    for name, why in UNSAFE.items():
        if settings.get(name) == "off":
            yield bad(subject, f"{name} is off", why, f"set {name} = on in postgresql.conf, and reload it")
    if facts.follower or settings.get("default_transaction_read_only") == "on":
        yield bad(subject, "it can only be read", "nothing can be saved there", "name the primary in store.url")
    if facts.powers:
        why = "whoever gets hold of a node has more of the server than the node's own database"
        advice = "CREATE ROLE tocsin LOGIN, owner of its database and no more; name it in store.url"
        yield warning(subject, f"the role of store.url has the attributes {', '.join(facts.powers)}", why, advice)
    if not facts.is_private:
        why = "tasks, parameters and results can be read on the way, and changed"
        yield bad(subject, "the way there is not encrypted", why, "add sslmode=verify-full to store.url")
    free = int(settings.get("max_connections", "0")) - facts.connections
    if free < CONNECTIONS:
        why = f"a node needs up to {CONNECTIONS}, and waits or stops without"
        yield warning(subject, f"{free} connections are free", why, "raise max_connections in postgresql.conf")


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
            why = "one server less that may fail before nobody can take over"
            yield bad("ZooKeeper", str(error), why, "start it, or mend coordination.servers")
            continue
        found.append(facts)
        if facts.open_to_all and credentials is not None:
            why = "whoever reaches the servers may have partitions owned by nobody, or by others"
            what = f"anybody may {', '.join(facts.open_to_all)} at {config.root} on {server}"
            yield bad("ZooKeeper", what, why, f"setAcl -R {config.root} auth::cdrwa, as the user of the credentials")
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
        why = "without a majority nobody can take over, and nodes stop firing when their sessions end"
        yield bad("ZooKeeper", f"{len(found)} of {asked} servers answer", why, "start the others")
    elif asked < 3 or asked % 2 == 0:
        what = f"{asked} server{'s' if asked > 1 else ''}"
        why = "a number that is even or less than three is worth no more than one server less"
        yield warning("ZooKeeper", what, why, "have three or five, on machines of their own")
    if config.credentials is None:
        why = "whoever reaches the servers may change what is kept there"
        yield warning("ZooKeeper", "no credentials", why, "set coordination.credentials_file")


def offset_finding(whose: str, seconds: float) -> Finding:
    """How far another clock is from ours."""
    what = f"{whose}: {seconds:+.3f} s from this machine's"
    why = "the node whose clock is wrong fires early or late by as much"
    advice = "let chrony or ntpd keep both clocks"
    if abs(seconds) > OFFSET_BAD:
        return bad("clock", what, why, advice)
    if abs(seconds) > OFFSET_WARNING:
        return warning("clock", what, why, advice)
    return good("clock", what)
