"""Scenes of takeover: each does one thing to a running cluster and tells what it measured. For the benchmark and for tests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from tests.cluster.drills import RETRY, Drill, Json, every, judge, longest_silence, now, worst_lateness

BOUND_SECONDS = 120.0
"""Against hanging."""

QUIET_SECONDS = 4.0
"""For so long it is looked how late the tasks are when nothing is done to the cluster."""


@attrs.frozen
class Pulse:
    """Tasks that tell by their starts whether somebody acts for their partitions. `interval`: in seconds."""

    drill: Drill
    names: tuple[str, ...]
    interval: float

    def owned_by(self, node: str) -> set[str]:
        """Those in a node's partitions."""
        return self.drill.owned_tasks(node) & set(self.names)

    def firing(self, tasks: set[str], since: int) -> bool:
        """Whether all of these have started since."""
        return tasks <= {mark.task for mark in self.drill.marks("start") if mark.at > since}

    def wait_firing(self, tasks: set[str], since: int, what: str) -> None:
        """Wait until all of these have started since."""
        self.drill.wait(lambda: self.firing(tasks, since), f"fires after {what}", BOUND_SECONDS)

    def settle(self) -> None:
        """Wait until all living nodes own equal shares, nothing moves any more, all of them know it, and everything fires."""
        # Within less than one partition: a share that is only about fair is still on the move.
        self.drill.wait_shares(within=0.01, seconds=BOUND_SECONDS)
        self.drill.wait(self._agreed, "all nodes to know the owners", BOUND_SECONDS)
        self.wait_firing(set(self.names), now(), "balance")

    def _agreed(self) -> bool:
        first, *others = [self.drill.owners(name) for name in self.drill.living()]
        return None not in first.values() and all(owners == first for owners in others)

    def silence(self, tasks: set[str], since: int) -> float:
        """The longest time without a start of any of these, beyond their interval."""
        return max(longest_silence(self.drill.marks(), tasks, since, now()).values()) - self.interval

    def usual_silence(self, tasks: set[str]) -> float:
        """What `silence` is of these while nothing is done to the cluster: what the machine itself is good for."""
        since = now()
        time.sleep(QUIET_SECONDS)
        return self.silence(tasks, since)

    def caught_up(self) -> bool:
        """Whether every nominal time up to now has an outcome, but for the last second."""
        settled = dict(self.drill.query("SELECT name, settled_through FROM tasks JOIN definitions ON id = task_id"))
        return all(settled[name] > now() - 1_000_000 - round(self.interval * 1e6) for name in self.names)


def begin_pulse(drill: Drill, number: int, milliseconds: int, prefix: str = "pulse") -> Pulse:
    """Tasks over all nodes. They fire when this returns."""
    names = tuple(f"{prefix} {one}" for one in range(number))
    living = drill.living()
    for place, name in enumerate(names):
        drill.add(name, "brief", every(milliseconds), node=living[place % len(living)], policies={"retry": RETRY})
    pulse = Pulse(drill, names, milliseconds / 1000)
    pulse.wait_firing(set(names), 0, "the beginning")
    return pulse


def victim_of(pulse: Pulse, turn: int = 0) -> str:
    """The node whose turn it is, unless it owns no task: its end would tell nothing. Everything must be settled."""
    living = pulse.drill.living()
    wanted = living[turn % len(living)]
    chosen = wanted if pulse.owned_by(wanted) else max(living, key=lambda name: len(pulse.owned_by(name)))
    assert pulse.owned_by(chosen)
    return chosen


def kill_owner(pulse: Pulse, victim: str) -> float:
    """kill -9, and the node begins anew afterwards. Seconds from the kill to when all of its tasks had started again."""
    drill = pulse.drill
    tasks = pulse.owned_by(victim)
    killed = now()
    drill.kill(victim)
    pulse.wait_firing(tasks, killed + 500_000, f"the kill of {victim}")
    first = {
        task: min(mark.at for mark in drill.marks("start") if mark.task == task and mark.at > killed + 500_000)
        for task in tasks
    }
    drill.cluster.start(victim)
    pulse.settle()
    return (max(first.values(), default=killed) - killed) / 1e6


def stop_owner(pulse: Pulse, victim: str) -> Json:
    """SIGTERM, and the node begins anew afterwards.

    Seconds by which any of its tasks was silent for longer than its interval: `usual` just before, and `silence` around the stop.
    """
    drill = pulse.drill
    tasks = pulse.owned_by(victim)
    usual = pulse.usual_silence(tasks)
    since = now()
    assert drill.cluster.nodes[victim].terminate() == 0
    pulse.wait_firing(tasks, now(), f"the stop of {victim}")
    silence = pulse.silence(tasks, since)
    drill.cluster.start(victim)
    pulse.settle()
    return {"silence": silence, "usual": usual}


def freeze_owner(pulse: Pulse, victim: str, seconds: float) -> float:
    """SIGSTOP, for at least so long, SIGCONT. Seconds from the stop to when all of its tasks had started again elsewhere."""
    drill = pulse.drill
    tasks = pulse.owned_by(victim)
    since = now()
    drill.cluster.freeze(victim)
    return thaw_after_takeover(pulse, victim, tasks, since, seconds)


def thaw_after_takeover(pulse: Pulse, victim: str, tasks: set[str], since: int, seconds: float) -> float:
    """A node was stopped at `since`: wait for the takeover of its tasks and for its own return. Seconds to the takeover."""
    drill = pulse.drill
    try:
        pulse.wait_firing(tasks, since + 500_000, f"the freeze of {victim}")
        first = {
            task: min(mark.at for mark in drill.marks("start") if mark.task == task and mark.at > since + 500_000)
            for task in tasks
        }
        time.sleep(max(0.0, seconds - (now() - since) / 1e6))
    finally:
        drill.cluster.thaw(victim)
    pulse.settle()
    return (max(first.values(), default=since) - since) / 1e6


def stop_inside(pulse: Pulse, victim: str, place: str, trigger: Path) -> float:
    """The node stops itself at a place of `bent.py`, and goes on after the takeover. Seconds to the takeover.

    trigger: the file that its E2E_STOP names.
    """
    drill = pulse.drill
    tasks = pulse.owned_by(victim)
    trigger.with_suffix(".new").write_text(place)
    trigger.with_suffix(".new").rename(trigger)
    drill.wait(lambda: _state(drill.cluster.nodes[victim].pid) == "T", f"{victim} to stop itself at {place}")
    since = now()
    return thaw_after_takeover(pulse, victim, tasks, since, 0.0)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def kill_leader(pulse: Pulse) -> Json:
    """SIGKILL to the leader of the ZooKeeper servers. Sessions lost, and seconds of the worst lateness: usual, and around it."""
    drill, ensemble = pulse.drill, pulse.drill.cluster.zookeeper
    before = {name: drill.coordination(name)["session"] for name in drill.living()}
    quiet = now()
    time.sleep(12.0)
    since = now()
    usual = worst_lateness([mark for mark in drill.marks() if mark.at < since], quiet)
    leader = ensemble.leader()
    leader.kill()
    ensemble.leader()
    # Three session timeouts: what was to be lost is lost by then.
    time.sleep(12.0)
    lateness = worst_lateness(drill.marks(), since)
    after = {name: drill.coordination(name)["session"] for name in drill.living()}
    leader.start()
    pulse.settle()
    return {"sessions lost": sum(before[name] != after[name] for name in before), "lateness": lateness, "usual": usual}


def lose_zookeeper(pulse: Pulse, frozen: float, stopped: float, executions: int) -> Json:
    """All ZooKeeper servers frozen, then stopped. How many of the executions that ran all the while were interrupted."""
    drill, servers = pulse.drill, pulse.drill.cluster.zookeeper.servers
    seconds = frozen + stopped + 8.0
    names = [f"through the silence {now()} {number}" for number in range(executions)]
    living = drill.living()
    for place, name in enumerate(names):
        drill.add(name, "lasting", {"after": "10ms"}, node=living[place % len(living)], parameters={"seconds": seconds})
    begun = lambda: {mark.task for mark in drill.marks("start")} >= set(names)  # noqa: E731
    drill.wait(begun, "the long executions")
    for server in servers:
        server.freeze()
    time.sleep(frozen)
    for server in servers:
        server.thaw()
        server.stop()
    time.sleep(stopped)
    drill.cluster.zookeeper.start()
    pulse.settle()
    ended = lambda: len([mark for mark in drill.marks("end", "cut") if mark.task in names]) >= executions  # noqa: E731
    drill.wait(ended, "the long executions to end", seconds + BOUND_SECONDS)
    marks = [mark for mark in drill.marks() if mark.task in names]
    return {
        "interrupted": sum(mark.kind == "cut" for mark in marks),
        "started again": sum(mark.kind == "start" for mark in marks) - executions,
    }


def verdict(pulse: Pulse, more: Sequence[str] = ()) -> tuple[int, list[str], list[str]]:
    """What was due, lost and doubled: judged when everything up to now has an outcome."""
    pulse.drill.wait(pulse.caught_up, "every nominal time to be settled")
    found = judge(pulse.drill, [*pulse.names, *more])
    return found.due, found.lost, found.doubled
