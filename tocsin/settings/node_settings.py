"""The settings of a node as the floor below takes them."""

from __future__ import annotations

from importlib import metadata

from actors.lanes import NodeConfig
from actors.model.lifecycle import State
from actors.model.retention import Keep, Retention
from runtime.clock import SECOND, Micros

from ..queue.custom_choice import job_queue_config
from .canary_config import canary_config
from .cluster_config import cluster_config
from .config import Config


def node_config(config: Config) -> NodeConfig:
    """The settings that concern the node, as the floor below takes them."""
    return NodeConfig(
        data=config.data,
        name=config.name,
        slots=config.slots,
        memory_slots=config.memory_slots,
        threads=config.threads,
        queues=config.queues,
        catch_up_rate=config.catch_up_rate,
        catch_up_burst=config.catch_up_burst,
        catch_up_running=config.catch_up_running,
        drain_seconds=config.drain_timeout / SECOND,
        purge_every_seconds=config.purge_every / SECOND,
        retention=retention_of(config),
        deliveries_kept=config.deliveries_last,
        synchronous=config.synchronous,
        secure_delete=config.secure_delete,
        canaries=canary_config(config),
        cluster=cluster_config(config, config.name) if config.clustered else None,
        version=metadata.version("tocsin"),
        job_queue=job_queue_config(config),
        late_seconds=config.late_after / SECOND,
    )


def retention_of(config: Config) -> Retention:
    """How long what has ended is kept: where nothing of its own is said for a kind, for `keep_for`; a number of 0 is no limit."""

    def keep(ttl: Micros | None, last: int) -> Keep:
        return Keep(config.keep_for if ttl is None else ttl, last or None)

    return Retention(
        states={
            State.COMPLETED: keep(config.completed_for, config.completed_last),
            State.FAILED: keep(config.failed_for, config.failed_last),
            State.TIMED_OUT: keep(config.timed_out_for, config.timed_out_last),
            State.CANCELLED: keep(config.cancelled_for, config.cancelled_last),
        },
        rows=keep(config.missed_for, config.missed_last),
        skipped=keep(config.skipped_for, config.skipped_last),
        folded=config.folded_for,
        tasks=keep(config.finished_for, 0).ttl,
        newest=config.keep_newest,
        audits=config.audit_last,
    )
