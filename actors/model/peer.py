"""What a node knows of the nodes of its cluster, itself among them. All of it is hearsay but the names."""

from __future__ import annotations

from enum import StrEnum

from runtime.clock import Micros
from runtime.records import record

from .outside import is_outside


class Standing(StrEnum):
    """How a node stands in the eyes of the others. A dead one has not been heard of by anybody, or has left."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"


@record
class Peer:
    """One node. `types`: the task types it has. `slots`, `free`: for stored executions. `executor`: whether it takes work.

    `address`: where its links are accepted, HOST:PORT. `offset`: its wall clock minus ours, None if not measured.
    `draining`: it takes nothing new and ends. `running`: attempts of stored executions under way.
    """

    name: str
    boot: str
    address: str = ""
    standing: Standing = Standing.ALIVE
    labels: tuple[tuple[str, str], ...] = ()
    types: frozenset[str] = frozenset()
    executor: bool = True
    draining: bool = False
    slots: int = 0
    free: int = 0
    running: int = 0
    offset: Micros | None = None
    timezone_database: str = ""
    version: str = ""

    def has_type(self, type_name: str) -> bool:
        """Whether it has a task type. Those that workers outside do, every node has."""
        return type_name in self.types or is_outside(type_name)

    @property
    def takes_work(self) -> bool:
        """Whether work may be offered to it."""
        return self.executor and not self.draining and self.standing is Standing.ALIVE
