"""What a drill does, measures and takes back, in a cluster that is made up; and which process it may touch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.errors import Conflict, InvalidRequest, NotFound
from tests.tocsin.drill_kit import BEGIN, MS, FakeClock, FakeCluster, FakeVictim, Json, row
from tocsin.checker.checker import check
from tocsin.drill.evidence_core import micros
from tocsin.drill.measuring_core import Lateness, lateness, percentile
from tocsin.drill.process import DistantVictim, LocalVictim, filled, interruptible, victim_of
from tocsin.drill.report_core import Report
from tocsin.drill.rounds import Drill, Plan, check_plan
from tocsin.services.own_process import began, own_process

SECOND = 1_000 * MS


def drilled(cluster: FakeCluster, **plan: Any) -> Drill:
    def reach(told: Any, command: str | None) -> FakeVictim:
        return FakeVictim(cluster, told["node"])

    kind = plan.pop("kind", "kill-owner")
    made = Plan(kind, **{"seconds": 4.0, "canaries": None, **plan})
    return Drill(cluster, cluster.clock, made, "drill", lambda text: None, lambda text: None, check, reach)


def run(cluster: FakeCluster, **plan: Any) -> Report:
    return drilled(cluster, **plan).run()


def test_the_takeover_of_a_killed_node_is_measured() -> None:
    cluster = FakeCluster(FakeClock())
    report = run(cluster)
    [one] = report.rounds
    assert (one.fault.node, one.fault.owned) == ("n2", {1, 4, 7})
    assert cluster.told == ["KILL n2"]
    measured = one.measured
    assert measured.takeover.canaries == 3
    assert measured.takeover.worst == pytest.approx(5_005, abs=1)
    assert measured.takeover.handover == pytest.approx(5_000, abs=200)
    assert (measured.before.worst, measured.after.worst) == (5, 5)
    assert measured.during.worst is not None and 4_500 < measured.during.worst <= 5_005
    assert (measured.missed, measured.doubled, one.verdict.violations) == ((), (), ())
    assert report.is_good
    assert "neither Tocsin nor its development cluster starts a node again" in one.afterwards
    assert cluster.canaries == {} and cluster.removed == 8


def test_a_frozen_node_is_thawed_when_its_time_is_over() -> None:
    cluster = FakeCluster(FakeClock(), takeover=2_000 * MS)
    report = run(cluster, kind="freeze", hold=6.0)
    assert cluster.told[:3] == ["guard 6", "STOP n2", "CONT n2"]
    [one] = report.rounds
    assert one.fault.healed_at - one.fault.began_at == pytest.approx(6 * SECOND, abs=SECOND // 5)
    assert one.measured.takeover.worst == pytest.approx(2_005, abs=1)
    assert report.is_good and one.afterwards == "n2 is alive"


def test_a_node_that_is_frozen_for_less_than_its_session_keeps_what_it_has() -> None:
    cluster = FakeCluster(FakeClock(), takeover=5_000 * MS)
    [one] = run(cluster, kind="freeze", hold=1.0).rounds
    assert one.measured.takeover.handover is None
    assert one.measured.takeover.worst == pytest.approx(1_005, abs=201)


def test_a_drain_is_undone_and_measured_from_the_handover() -> None:
    cluster = FakeCluster(FakeClock())
    report = run(cluster, kind="drain", every=100 * MS)
    assert cluster.told == ["drain n2", "undo drain n2"]
    [one] = report.rounds
    assert one.measured.takeover.handover == pytest.approx(300, abs=100)
    assert one.measured.takeover.worst is not None and 300 <= one.measured.takeover.worst <= 600
    assert report.is_good


def test_what_never_ran_is_missed_and_judged() -> None:
    def without_one(canary: Json, rows: list[Json]) -> list[Json]:
        return rows[:3] + rows[4:] if canary["id"] == "c4" else rows

    report = run(FakeCluster(FakeClock(), bend=without_one))
    assert len(report.rounds[0].measured.missed) == 1
    assert report.rounds[0].measured.missed[0].startswith("canary drill-1 4: ")
    assert any(one.kind == "lost" for one in report.rounds[0].verdict.violations)
    assert not report.is_good and report.as_json()["missed"] == 1


def test_what_ran_as_two_executions_is_doubled_and_judged() -> None:
    def with_another(canary: Json, rows: list[Json]) -> list[Json]:
        if canary["id"] != "c4":
            return rows
        nominal = micros(rows[2]["nominal"])
        other = row("c4", nominal, nominal + 80 * MS, MS) | {"id": "another"}
        return [*rows, other]

    report = run(FakeCluster(FakeClock(), bend=with_another))
    assert len(report.rounds[0].measured.doubled) == 1
    assert report.rounds[0].verdict.violations
    assert not report.is_good and report.as_json()["doubled"] == 1


def test_canaries_that_do_not_start_again_are_named() -> None:
    def cut(canary: Json, rows: list[Json]) -> list[Json]:
        return rows[:6] if canary["id"] == "c1" else rows

    report = run(FakeCluster(FakeClock(), bend=cut))
    takeover = report.rounds[0].measured.takeover
    assert (takeover.canaries, takeover.silent) == (3, ("canary drill-1 1",))
    assert not report.is_good


@pytest.mark.parametrize("seconds", [1.0, 6.0, 12.0])
def test_an_interrupt_at_any_time_takes_everything_back(seconds: float) -> None:
    cluster = FakeCluster(FakeClock(broken_at=BEGIN + round(seconds * SECOND)))
    with pytest.raises(KeyboardInterrupt):
        run(cluster, kind="freeze", hold=5.0)
    assert cluster.canaries == {} and cluster.removed == 8
    assert ("STOP n2" in cluster.told) is ("CONT n2" in cluster.told)


def test_a_drain_that_is_interrupted_is_undone() -> None:
    cluster = FakeCluster(FakeClock(broken_at=BEGIN + 4_600 * MS), drained_after=9_000 * MS)
    with pytest.raises(KeyboardInterrupt):
        run(cluster, kind="drain")
    assert cluster.told == ["drain n2", "undo drain n2"] and cluster.canaries == {}


def test_nothing_is_made_if_a_person_does_not_agree() -> None:
    cluster = FakeCluster(FakeClock())
    drill = drilled(cluster)

    def refuse(text: str) -> None:
        assert text == "n2, process 7 on here, is killed"
        raise Conflict("nothing was done")

    drill.confirm = refuse
    with pytest.raises(Conflict, match="nothing was done"):
        drill.run()
    assert (cluster.told, cluster.removed) == ([], 0)


def test_further_rounds_take_other_nodes_while_there_are_some() -> None:
    cluster = FakeCluster(FakeClock())
    report = run(cluster, rounds=3)
    assert [one.fault.node for one in report.rounds] == ["n2", "n3"]
    assert report.notes == ("only 2 of 3 rounds: no other node is alive to do it to",)


def test_the_node_that_answers_and_unknown_ones_are_refused() -> None:
    with pytest.raises(Conflict, match="n1 is the node that answers"):
        run(FakeCluster(FakeClock()), node="n1")
    with pytest.raises(NotFound, match="no node 'n9'; there are n1, n2, n3"):
        run(FakeCluster(FakeClock()), node="n9")
    with pytest.raises(Conflict, match="n2 is dead and owns 3"):
        run(FakeCluster(FakeClock(), killed={"n2", "n3"}))


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan("freeze", rounds=0), "--rounds"),
        (Plan("freeze", seconds=0.0), "--seconds"),
        (Plan("freeze", hold=0.0), "--hold"),
        (Plan("freeze", seconds=600.0), "take a longer --every"),
        (Plan("drain", command="true"), "sends no signals"),
    ],
)
def test_plans_that_cannot_be_are_refused(plan: Plan, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        check_plan(plan)


def test_percentiles_are_the_nearest_ranks() -> None:
    assert [percentile([1, 2, 3, 4], share) for share in (0.0, 0.25, 0.5, 0.51, 0.99, 1.0)] == [1, 1, 2, 3, 4, 4]
    assert lateness([]) == Lateness(0)
    assert lateness([(0, 2 * MS), (0, 4 * MS), (MS, 0)]) == Lateness(3, 2.0, 4.0, 4.0)


# -- processes


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.send_signal(signal.SIGCONT)
    child.kill()
    child.wait()


def told(child: subprocess.Popen[bytes], **changes: Any) -> dict[str, Any]:
    own = own_process()
    return {
        "node": "n2",
        "pid": child.pid,
        "host": own.host,
        "machine": own.machine,
        "began": began(child.pid),
        **changes,
    }


def test_signals_reach_the_process_that_was_told(sleeper: subprocess.Popen[bytes]) -> None:
    victim = LocalVictim(told(sleeper))
    victim.send("STOP")
    assert os.waitpid(sleeper.pid, os.WUNTRACED)[1] >> 8 == signal.SIGSTOP
    victim.send("CONT")
    victim.send("KILL")
    assert sleeper.wait(30) == -signal.SIGKILL
    with pytest.raises(Conflict, match="No such process"):
        victim.send("CONT")
    victim.close()


def test_a_frozen_process_is_thawed_without_us(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tocsin.drill.process.GUARD_SECONDS", 0.1)
    victim = LocalVictim(told(sleeper))
    victim.guard(0.1)
    victim.send("STOP")
    assert os.waitpid(sleeper.pid, os.WUNTRACED | os.WCONTINUED)[1] >> 8 == signal.SIGSTOP
    assert os.WIFCONTINUED(os.waitpid(sleeper.pid, os.WCONTINUED)[1])
    victim.close()


def test_another_process_or_machine_is_refused(sleeper: subprocess.Popen[bytes]) -> None:
    with pytest.raises(Conflict, match="another one than n2 said"):
        LocalVictim(told(sleeper, began=1))
    with pytest.raises(Conflict, match=r"which is not this machine.*--with"):
        LocalVictim(told(sleeper, machine="elsewhere"))
    with pytest.raises(Conflict, match="not this machine"):
        victim_of(told(sleeper, machine=None), None)
    with pytest.raises(Conflict, match="cannot be reached"):
        LocalVictim(told(sleeper, pid=2**22))
    assert sleeper.poll() is None


def test_a_command_of_a_person_sends_signals_elsewhere(sleeper: subprocess.Popen[bytes]) -> None:
    victim = victim_of(told(sleeper, machine="elsewhere"), "kill -{signal} {pid}")
    assert isinstance(victim, DistantVictim)
    victim.send("KILL")
    assert sleeper.wait(30) == -signal.SIGKILL
    with pytest.raises(Conflict, match=r"exit code 3: sorry n2"):
        victim_of(told(sleeper), "sh -c 'echo sorry {node} >&2; exit 3'").send("STOP")
    with pytest.raises(Conflict, match="nosuchprogram"):
        victim_of(told(sleeper), "/nosuchprogram").send("STOP")


def test_what_is_in_braces_stays_one_word() -> None:
    values = {"node": "a b", "pid": 7, "host": "$(x)", "signal": "STOP"}
    assert filled("ssh {host} kill -{signal} {pid} '{node}; {other}'", values) == [
        "ssh", "$(x)", "kill", "-STOP", "7", "a b; {other}",
    ]  # fmt: skip
    for wrong in ("", "a 'b"):
        with pytest.raises(InvalidRequest, match="--with"):
            filled(wrong, values)


def test_being_told_to_end_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
