"""Faults at drawn moments over a running cluster: `python -m tests.cluster.chaos --minutes 30 [--seed N] [--unfenced]`.

Two hands work at the same time: one on processes (nodes, ZooKeeper's leader, PostgreSQL), one on the ways between them. What
they do to nodes is written into the handlers' record, as `dead`, `frozen` and `thawed` lines, between the lines of the handlers.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

from runtime.errors import TocsinError
from tests.cluster import evidence, judge, operators
from tests.cluster.harness import Cluster, cluster
from tests.cluster.network import Kind, Way, Wired, wire
from tests.cluster.operators import Operators, pause_all, resume_held
from tests.cluster.workload import LABELS, Planned, rate, slowness, tasks
from tests.e2e.harness import NodeEnded, NodeProcess, wait_for
from tests.e2e.record import append
from tests.servers import server_directory
from tocsin.checker.history import Ownership, Span
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper, ZooKeeperServer

HANDLERS: Final = Path(__file__).with_name("handlers.py")
UNFENCED: Final = Path(__file__).with_name("unfenced.py")

SESSION: Final = 4.0
"""Seconds, as the harness sets it."""

HEAL_SECONDS: Final = 45.0
"""After the last fault until every partition has one owner again, three times the bound."""

DRAIN_SECONDS: Final = 90.0
"""Until all that is open has ended, once nothing is due any more."""


REVIVALS: Final = 10
"""Lives that a node may need to come up: no way is cut for longer than some seconds."""


@attrs.frozen
class Fault:
    """What goes wrong, for how long, and how long it is quiet after it; seconds."""

    name: str
    seconds: float
    rest: float


KINDS: Final[tuple[Kind, ...]] = ("zookeeper", "store", "links")
WAYS: Final[tuple[Way, ...]] = ("both", "up", "down")

PROCESSES: Final = {
    "kill the busiest node": (2.0, 4.0),
    "freeze a node": (3 * SESSION, 3 * SESSION),
    "kill the leader of ZooKeeper": (1.0, 4.0),
    "freeze the leader of ZooKeeper": (2.0, 7.0),
    "restart PostgreSQL, fast": (0.0, 1.5),
    "restart PostgreSQL, immediate": (0.0, 1.5),
}
"""Name -> how long it lasts at least and at most, seconds."""

CUTS: Final = {f"cut {kind} {way}": (1.5, 6.0) for kind in KINDS for way in WAYS}


def plan(rng: random.Random, kinds: dict[str, tuple[float, float]], rounds: int, seconds: float) -> list[Fault]:
    """Each kind so many times in a drawn order, with pauses that spread them over these seconds."""
    names = [name for name in kinds for _ in range(rounds)]
    rng.shuffle(names)
    lengths = [rng.uniform(*kinds[name]) for name in names]
    spare = max(0.0, seconds - sum(lengths)) / len(names)
    return [Fault(name, length, rng.uniform(0.5, 1.5) * spare) for name, length in zip(names, lengths, strict=True)]


class Nemesis:
    """Carries faults out. `errors`: what went wrong with that itself."""

    def __init__(self, wired: Wired, rng: random.Random) -> None:
        self.wired = wired
        self.cluster = wired.cluster
        self.done: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self.log: list[str] = []
        self.spans: list[Span] = []
        self._rng = rng
        self._down: set[str] = set()
        self._lock = threading.Lock()

    def run(self, processes: list[Fault], cuts: list[Fault]) -> None:
        """Both hands, until they are through."""
        hands = [
            threading.Thread(target=self._hand, args=(processes, self._harm), name="processes"),
            threading.Thread(target=self._hand, args=(cuts, self._cut), name="cuts"),
        ]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
        if self.errors:
            raise self.errors[0]

    def _hand(self, faults: list[Fault], act: Callable[[Fault], None]) -> None:
        try:
            for fault in faults:
                self._say(f"{fault.name} for {fault.seconds:.1f} s")
                act(fault)
                self.done[fault.name] += 1
                time.sleep(fault.rest)
        except BaseException as error:
            self.errors.append(error)

    def _say(self, what: str) -> None:
        self.log.append(f"{time.time():.3f} {what}")

    @contextmanager
    def _during(self, kind: str, subject: str = "") -> Iterator[None]:
        """Something is wrong while the block runs; written down for the checker."""
        since = operators.now()
        try:
            yield
        finally:
            self.spans.append(Span(kind, subject, since, operators.now()))

    def note(self, kind: str, pid: int) -> None:
        """What was done to a node, among the handlers' lines."""
        append(self.cluster.record, {"kind": kind, "pid": pid, "at": time.time_ns() // 1_000})

    # -- processes

    def _harm(self, fault: Fault) -> None:
        match fault.name:
            case "kill the busiest node":
                self.kill(self.busiest(), fault.seconds)
            case "freeze a node":
                self.freeze(self._rng.choice(sorted(self.cluster.nodes)), fault.seconds)
            case "kill the leader of ZooKeeper":
                leader = self.cluster.zookeeper.leader()
                with self._during("coordination"):
                    leader.kill()
                    time.sleep(fault.seconds)
                    leader.start()
            case "freeze the leader of ZooKeeper":
                leader = self.cluster.zookeeper.leader()
                with self._during("coordination"):
                    leader.freeze()
                    time.sleep(fault.seconds)
                    leader.thaw()
            case "restart PostgreSQL, fast" | "restart PostgreSQL, immediate":
                with self._during("store"):
                    self.cluster.postgres.stop("fast" if fault.name.endswith("fast") else "immediate")
                    time.sleep(fault.seconds)
                    self.cluster.postgres.start()
            case _:
                raise AssertionError(fault.name)

    def kill(self, name: str, seconds: float) -> None:
        """SIGKILL, and another life after so long."""
        node = self.cluster.nodes[name]
        self._say(f"  it is {name}, process {node.pid}")
        self.note("dead", node.kill())
        time.sleep(seconds)
        self._revive(node)
        self._say(f"  {name} lives again as process {node.pid}")

    def _revive(self, node: NodeProcess) -> None:
        """As a supervisor of processes does: a node that finds its store cut off ends, and is started again."""
        for _ in range(REVIVALS):
            node.start()
            try:
                node.wait_ready()
            except NodeEnded:
                self.note("dead", node.reap())
            else:
                return
        raise AssertionError(f"the node does not come up\n{node.log()}")

    def restart(self, name: str, rest: float) -> None:
        """A stop in order, another life at once, and some seconds of rest."""
        node = self.cluster.nodes[name]
        self._say(f"restart {name}, process {node.pid}")
        pid = node.pid
        assert node.terminate() == 0, node.log()
        self.note("dead", pid)
        self._revive(node)
        self.done["restart of a node"] += 1
        time.sleep(rest)

    def restart_server(self, server: ZooKeeperServer, rest: float) -> None:
        """The same for a server of the ensemble."""
        self._say(f"restart ZooKeeper server {server.number}, the {server.mode()}")
        with self._during("coordination"):
            server.restart()
        self.done["restart of a ZooKeeper server"] += 1
        time.sleep(rest)

    def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        pid = self.cluster.nodes[name].pid
        self._say(f"  it is {name}, process {pid}")
        self.cluster.freeze(name)
        self.note("frozen", pid)
        time.sleep(seconds)
        self.note("thawed", pid)
        self.cluster.thaw(name)

    def busiest(self) -> str:
        """The node in whose process most handlers have begun lately."""
        pids = {node.pid: name for name, node in self.cluster.nodes.items()}
        with self.cluster.record.open("rb") as record:
            record.seek(max(0, self.cluster.record.stat().st_size - 100_000))
            lines = record.read().split(b"\n")[1:-1]
        begun = Counter(
            line["pid"] for line in map(json.loads, lines) if line["kind"] == "start" and line["pid"] in pids
        )
        return pids[begun.most_common(1)[0][0]] if begun else self._rng.choice(sorted(self.cluster.nodes))

    # -- ways

    def _cut(self, fault: Fault) -> None:
        _, kind, way = fault.name.split()
        node = self._rng.choice(sorted(self.cluster.nodes))
        with self._during({"zookeeper": "coordination", "links": "cut"}.get(kind, kind), node):
            self.wired.cut(kind, node, way)  # type: ignore[arg-type]
            time.sleep(fault.seconds)
            self.wired.heal(kind, node)  # type: ignore[arg-type]


# -- a whole run


@attrs.frozen
class Run:
    """What a run is made of."""

    wired: Wired
    nemesis: Nemesis
    operators: Operators
    planned: list[Planned]

    @property
    def cluster(self) -> Cluster:
        """The nodes."""
        return self.wired.cluster


@contextmanager
def start(
    directory: Path,
    postgres: EmbeddedPostgres,
    zookeeper: EmbeddedZooKeeper,
    planned: list[Planned],
    rng: random.Random,
    *modules: Path,
) -> Iterator[Run]:
    """A cluster under load behind proxies: nodes are up and balanced, the tasks are made, operators work."""
    keep_all = {"TOCSIN_RETENTION_COMPLETED_LAST": "0", "TOCSIN_RETENTION_MISSED_LAST": "0"}
    with cluster(directory, postgres, zookeeper, HANDLERS, *modules, **keep_all) as made, wire(made) as wired:
        for name, node in made.nodes.items():
            node.environment["TOCSIN_NODE_LABELS"] = LABELS[name]
        made.start()
        made.wait_balanced()
        nemesis, people = Nemesis(wired, rng), Operators(made, random.Random(rng.random()), planned)
        people.make_tasks()
        try:
            people.start()
            yield Run(wired, nemesis, people, planned)
        finally:
            people.stop()


def _healed(made: Cluster) -> Ownership:
    """Who owns the partitions as soon as that is sound, or when the bound is over."""
    deadline = time.monotonic() + HEAL_SECONDS
    while True:
        with suppress(TocsinError):
            owners = evidence.ownership(made)
            if not judge.check_owners(owners) or time.monotonic() > deadline:
                return owners
        time.sleep(0.5)


def finish(run: Run, drain_seconds: float = DRAIN_SECONDS) -> evidence.Evidence:
    """After the last fault: every partition has one owner, nothing is left undone; then what the judge looks at."""
    made, late = run.cluster, []
    healed = time.monotonic()
    owners = _healed(made)
    run.nemesis.log.append(f"{time.time():.3f} whole {time.monotonic() - healed:.1f} s after the last fault")
    run.operators.stop()
    time.sleep(2 * SESSION)
    stopped_at = pause_all(made)
    left: list[str] = []

    def ended() -> bool:
        with suppress(TocsinError), made.client("n1") as client:
            resume_held(client, run.operators.asked)
            left[:] = [task["name"] for task in client.tasks() if task["open"]]
            return not left
        return False

    try:
        wait_for(ended, drain_seconds, "all that is open to end", made.nodes["n1"], poll=1.0)
    except AssertionError:
        late.append(
            f"{len(left)} tasks have not come to an end {drain_seconds:g} s after they were paused: {left[:10]}"
        )
    ended_at = operators.now()
    return evidence.read(made, run.planned, run.operators.asked, run.nemesis.spans, stopped_at, ended_at, owners, late)


def storm(run: Run, rng: random.Random, seconds: float, rounds: int) -> evidence.Evidence:
    """Every kind of fault so many times within about so many seconds, and what the judge looks at."""
    run.nemesis.run(plan(rng, PROCESSES, rounds, seconds), plan(rng, CUTS, rounds, seconds))
    return finish(run)


def say(text: str) -> None:
    """To whoever watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell(run: Run, verdict: judge.Judged) -> None:
    """What was done, and what was found."""
    for name, number in sorted(run.nemesis.done.items()):
        say(f"{number:5d} x {name}")
    say(verdict.report())


def main() -> int:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument(
        "--scale", type=float, default=None, help="by which the tasks' intervals are longer; else measured"
    )
    parser.add_argument("--unfenced", action="store_true", help="nodes without the fence check: must be found out")
    parser.add_argument("--keep", type=Path, default=None, help="where logs and record are kept")
    given = parser.parse_args()
    seed = secrets.randbelow(2**32) if given.seed is None else given.seed
    rounds = max(1, round(3 * given.minutes / 4))
    say(f"seed {seed}, {rounds} rounds of faults in {given.minutes:g} minutes")
    scale = slowness() if given.scale is None else given.scale
    rng, planned = random.Random(seed), tasks(scale)
    say(f"{len(planned)} tasks, intervals {scale:.1f} times as long, {rate(planned):.0f} nominal times per second")
    modules = (UNFENCED,) if given.unfenced else ()
    with (
        server_directory("chaos") as directory,
        EmbeddedPostgres(directory / "postgres") as postgres,
        EmbeddedZooKeeper(directory / "zookeeper", servers=3) as zookeeper,
        tempfile.TemporaryDirectory() as fresh,
    ):
        place = Path(fresh) if given.keep is None else given.keep
        place.mkdir(parents=True, exist_ok=True)
        with start(place, postgres, zookeeper, planned, rng, *modules) as run:
            try:
                left = storm(run, rng, given.minutes * 60, rounds)
            finally:
                say("\n".join(run.nemesis.log))
            verdict = judge.judge(left)
            tell(run, verdict)
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
