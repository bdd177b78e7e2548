"""Everything in order: what there is to examine depends on the configuration and on whether a node runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from runtime.errors import TocsinError, Unauthenticated

from ..client import Client
from ..clients.address import NodeUnreachable
from ..settings.cluster_config import cluster_config
from ..settings.config import Config, load_config
from .broker import of_broker
from .findings import Finding, bad, good, note
from .machine import NO_START, of_data_files, of_directory, of_exposure, of_port, of_secrets, of_store_file, of_versions
from .plugins import of_job_queue, of_placements
from .running import OTHERS_SETTINGS, of_node
from .servers import of_postgres, of_zookeeper


def examine(environment: Mapping[str, str], file: Path | None, flags: Mapping[str, object]) -> Iterator[Finding]:
    """Look at everything that a node with this configuration needs. Each finding comes when it was made."""
    try:
        config = load_config(environment, file, flags).config
    except TocsinError as error:
        advice = "mend it; docs/guides/reference.md has every setting"
        yield bad("configuration", str(error), NO_START, advice)
        return
    yield good("configuration", f"node {config.name}, {'one of a cluster' if config.clustered else 'alone'}")
    yield from of_versions()
    yield from of_directory(config.data)
    yield from of_data_files(config.data)
    yield from of_secrets(config)
    yield from of_exposure(config)
    yield from of_placements(config)
    yield from of_job_queue(config)
    told = list(_of_running(config))
    runs = any(one.subject == "node" for one in told)
    yield from of_port(config, runs)
    if not config.clustered and not any(one is OTHERS_SETTINGS for one in told):
        yield from of_store_file(config.data)
    if config.clustered and not config.coordination_embedded:
        yield from _of_servers(config)
    yield from of_broker(config)
    yield from told


def _of_servers(config: Config) -> Iterator[Finding]:
    try:
        settings = cluster_config(config, config.name)
    except TocsinError as error:
        yield bad("configuration", str(error), NO_START, "mend the file that it names")
        return
    yield from of_postgres(settings.store_url)
    yield from of_zookeeper(settings)


def _of_running(config: Config) -> Iterator[Finding]:
    """What the node says, if one runs over the data directory or where TOCSIN_URL says."""
    try:
        with Client(data=config.data, channel="cli") as client:
            yield from of_node(client.call, clustered=config.clustered)
    except NodeUnreachable:
        yield note("running", "no node answers: 'tocsin up' starts one")
    except Unauthenticated as error:
        yield note("running", f"no token for a node: {error}")
    except TocsinError as error:
        yield bad("node", f"it answers with an error: {error}", "how it is cannot be told", "see the node's log")
