"""What pages make of what they read, without a page: modules of the console, given values and looked at."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.console.kit import Site


@pytest.fixture(scope="module")
def door(browser: Browser, site: Site) -> Page:
    """A page that can read the console's modules."""
    page = browser.new_page()
    page.goto(f"{site.url}/console")
    page.wait_for_selector("#token")
    return page


def call(door: Page, module: str, expression: str, *given: Any) -> Any:
    """An expression over a module `m` and the values given as `g`, as JSON."""
    code = f"""async ([name, g]) => {{
        const own = document.querySelector("script[type=module]").src;
        const m = await import(new URL(name, own).href);
        return {expression};
    }}"""
    return door.evaluate(code, [f"./{module}.js", list(given)])


def moved(partition: int, at: int, node: str, source: str | None, cause: str = "lost") -> dict[str, Any]:
    return {"partition": partition, "at": f"2026-01-01T00:00:{at:02d}Z", "node": node, "from": source, "cause": cause}


NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HISTORY = [moved(0, 31, "b", "a"), moved(1, 30, "b", "a"), moved(1, 10, "a", None, "founded")]


def test_shares_are_walked_back_from_now(door: Page) -> None:
    expression = "m.shares(g[0], g[1], g[2], g[2] + 60000, 5).map((counts) => [...counts])"
    points = call(door, "handovers", expression, ["b", "b", "c"], HISTORY, NOW)
    known = [{name: count for name, count in point if count} for point in points]
    assert known == [
        {"a": 1, None: 1, "c": 1},
        {"a": 2, "c": 1},
        {"a": 1, "b": 1, "c": 1},
        {"b": 2, "c": 1},
        {"b": 2, "c": 1},
    ]


def test_bands_fill_the_whole_height(door: Page) -> None:
    drawn = call(door, "handovers", "m.bands([new Map([['a', 1], ['b', 3]])], ['a', 'b'], 4)")
    assert [band["edges"] for band in drawn] == [[[0, 0.25]], [[0.25, 1]]]


def test_hand_overs_for_one_cause_at_one_time_are_one_happening(door: Page) -> None:
    [lost, founded] = call(door, "handovers", "m.gathered(g[0])", HISTORY)
    assert (lost["cause"], lost["partitions"], lost["givers"], lost["takers"]) == ("lost", 2, [["a", 2]], [["b", 2]])
    assert (founded["cause"], founded["givers"]) == ("founded", [])


def test_hand_overs_far_apart_are_two_happenings(door: Page) -> None:
    far = [moved(0, 50, "b", "a"), moved(1, 10, "b", "a")]
    assert len(call(door, "handovers", "m.gathered(g[0])", far)) == 2


def actor(**more: Any) -> dict[str, Any]:
    mailbox = {"depth": 0, "capacity": 100, "refused": 0}
    statistics = {"mailbox": mailbox, "handled": 10, "batches": 1, "busy_since": None, "deadline_seconds": 10}
    return {"name": "x", "kind": "actor", "state": "running", "restarts": 0, "statistics": statistics} | more


def test_actors_are_in_trouble_for_a_reason(door: Page) -> None:
    assert call(door, "tree", "m.troubles(g[0], null)", actor()) == []
    assert call(door, "tree", "m.troubles(g[0], null)", actor(restarts=1)) == ["was started again once after a crash"]
    assert call(door, "tree", "m.troubles(g[0], null)", actor(state="ended")) == ["has ended"]
    assert call(door, "tree", "m.troubles(g[0], {busy: 8})", actor()) == ["is at one batch for 8 s; it may take 10 s"]


def test_rates_come_from_two_looks(door: Page) -> None:
    expression = """[0, 2000].reduce((before, at, i) => m.compared(
        [{path: 'x', actor: {...g[0], statistics: {...g[0].statistics, handled: 10 + 6 * i, busy_since: 5}}}], before, at
    ), null).get('x')"""
    found = call(door, "tree", expression, actor())
    assert (found["rate"], found["busy"]) == (3, 2)


@pytest.mark.parametrize(
    ("said", "level", "advice"),
    [
        ("no coordination server answers: running work finishes and what is owned is kept", "bad", "ZooKeeper"),
        ("nobody owns anything yet: cold start: 2 of 3 nodes are here", "bad", "gate_timeout"),
        ("this node owns nothing: coordination-authority-changed: epochs differ", "bad", "tocsin fence raise"),
        ("the durable timer is late: what is due has been waiting for 9.0 s", "bad", "actor tree"),
        ("something new", "bad", "log"),
    ],
)
def test_what_readiness_says_comes_with_what_to_do(door: Page, said: str, level: str, advice: str) -> None:
    ready = {"ok": False, "error": {"status": 503, "message": said}}
    [found] = call(door, "health", "m.findings(g[0])", {"ready": ready})
    assert (found["level"], found["what"]) == (level, said)
    assert advice in found["act"]


def test_no_executor_and_no_free_slot_are_found(door: Page) -> None:
    node = {"name": "n1", "state": "alive", "executor": False, "free": 0, "offsetMs": None}
    nodes = {"list": [node], "coordination": {"partitions": 256, "owned": 256, "gate": None}}
    found = call(door, "health", "m.findings(g[0]).map(({ what }) => what)", {"nodes": nodes})
    assert found == ["No node takes executions", "No slot is free on any node"]


def test_figures_are_read_and_summed(door: Page) -> None:
    text = '# HELP x\nx{lane="a"} 1\nx{lane="b"} 2.5\ny 7\nh_bucket{le="0.1"} 9\nh_bucket{le="+Inf"} 10\n'
    assert call(door, "metrics", "m.total(m.parsed(g[0]), 'x')", text) == 3.5
    assert call(door, "metrics", "m.total(m.parsed(g[0]), 'none')", text) is None
    assert call(door, "metrics", "m.quantile(null, m.parsed(g[0]), 'h', 0.9)", text) == 0.1


def test_minutes_are_laid_out_by_the_clock(door: Page) -> None:
    load = {"from": "2026-01-01T23:59:00Z", "counts": [[3, 1], [0, 2], [5, 1]]}
    expression = """(() => {
        const days = m.days(g[0]);
        return [days.reduce((sum, day) => sum + day.total, 0), Math.max(...days.map(({ most }) => most)),
            days.flatMap((day) => day.minutes.filter(Boolean)).length];
    })()"""
    assert call(door, "load_model", expression, load) == [8, 5, 4]


def test_partitions_that_changed_hands_between_two_looks_are_kept(door: Page) -> None:
    expression = """(() => {
        const nodes = [{name: "a", state: "alive"}, {name: "b", state: "dead"}];
        const look = (second, owner, epoch) => m.record([{number: 0, owner, epoch}], nodes, new Date(second * 1000));
        look(0, "b", 1), look(1, null, 1), look(2, "a", 1), look(4, "a", 2), look(6, "a", 2), look(60, "a", 3);
        return m.seen.get().events.map(({ node, from, cause }) => [node, from, cause]);
    })()"""
    assert call(door, "moves", expression) == [["a", "a", "restart"], ["a", "b", "lost"]]


def test_what_is_seen_to_move_is_told_until_the_history_tells_it(door: Page) -> None:
    history = [moved(0, 30, "b", "a") | {"epoch": 4}, moved(1, 30, "b", "a") | {"epoch": 7}]
    seen = [
        moved(0, 40, "c", "b") | {"epoch": 4},  # its epoch is still that of the former owner
        moved(0, 29, "b", "a") | {"epoch": 3},
        moved(1, 31, "b", "a") | {"epoch": 7},
        moved(2, 20, "c", "a") | {"epoch": 9},
    ]
    found = call(
        door, "handovers", "m.merged(g[0], g[1]).map(({ partition, node }) => [partition, node])", history, seen
    )
    assert found == [[0, "c"], [0, "b"], [1, "b"], [2, "c"]]


def test_rows_that_end_a_page_and_begin_the_next_are_told_once(door: Page) -> None:
    rows = [
        moved(0, 30, "b", "a") | {"epoch": 4},
        moved(0, 30, "b", "a") | {"epoch": 4},
        moved(0, 20, "a", None) | {"epoch": 3},
    ]
    assert call(door, "handovers", "m.told(g[0]).map(({ epoch }) => epoch)", rows) == [4, 3]


TRACEBACK = """Traceback (most recent call last):
  File "/srv/venv/lib/python3.11/site-packages/actors/handling/runners/async_.py", line 96, in _run_jobs
    result = await work(worker.job)
             ^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/tocsin/actors/executor.py", line 273, in _run_handler
    value = await entry.function(context)
  File "/home/me/runtime/tasks.py", line 17, in daily
    helper(3)
  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
ValueError: no
"""


def test_the_users_own_frames_are_told_from_others(door: Page) -> None:
    frames = call(door, "parts/failure", "m.framesOf(g[0])", TRACEBACK)
    assert [frame["name"] for frame in frames] == ["_run_jobs", "_run_handler", "daily", "loads"]
    own = {"file": "/home/me/runtime/tasks.py", "line": 17, "name": "daily", "code": "helper(3)", "own": True}
    assert [frame for frame in frames if frame["own"]] == [own]


STARTED = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("progress", "part", "rate", "left"),
    [
        ({"done": 20, "total": 100, "at": "2026-01-01T00:00:10Z", "eta": "2026-01-01T00:00:50Z"}, 0.2, 2, 40_000),
        ({"done": 20, "total": None, "at": "2026-01-01T00:00:10Z", "eta": None}, None, 2, None),
        ({"done": 120, "total": 100, "at": "2026-01-01T00:00:10Z", "eta": None}, 1, 12, None),
        ({"done": None, "total": None, "step": "s", "at": "2026-01-01T00:00:10Z"}, None, None, None),
        ({"done": 3, "total": 0, "at": STARTED, "eta": None}, None, None, None),
    ],
)
def test_progress_is_measured(door: Page, progress: dict[str, Any], part: object, rate: object, left: object) -> None:
    found = call(door, "parts/progress", "m.measures(g[0], g[1])", progress, STARTED)
    assert found == {"part": part, "rate": rate, "left": left}


def run(state: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """An event about an execution."""
    execution = {
        "id": f"e{number}",
        "state": state,
        "node": "n1",
        "startedAt": STARTED,
        "endedAt": None,
        "failure": None,
    }
    return {"kind": "execution", "at": STARTED, "execution": execution | {"waitsFor": None, "retryAt": None} | more}


TASK: dict[str, Any] = {
    "itemId": "t",
    "status": "SCHEDULED",
    "phase": "active",
    "nextScheduledExecution": "2026-01-01T01:00:00Z",
    "open": [],
    "runsOn": [],
}


def test_a_task_follows_its_executions(door: Page) -> None:
    after = "g.slice(1).reduce((task, event) => m.taskAfter(task, event), g[0])"

    def status(task: dict[str, Any], *events: dict[str, Any]) -> tuple[str, list[str]]:
        found = call(door, "parts/live_rows", after, task, *events)
        return found["status"], found["open"]

    assert status(TASK, run("RUNNING")) == ("RUNNING", ["e1"])
    assert status(TASK, run("RUNNING"), run("RUNNING")) == ("RUNNING", ["e1"])
    assert status(TASK, run("WAITING", waitsFor="retry")) == ("SCHEDULED", ["e1"])
    assert status(TASK, run("WAITING", waitsFor="key")) == ("WAITING", ["e1"])
    assert status(TASK, run("RUNNING"), run("RUNNING", 2), run("COMPLETED")) == ("RUNNING", ["e2"])
    assert status(TASK, run("RUNNING"), run("FAILED")) == ("SCHEDULED", [])
    assert status(TASK, run("RUNNING"), run("CRASHED")) == ("CRASHED", ["e1"])
    assert status(TASK | {"nextScheduledExecution": None}, run("FAILED")) == ("FAILED", [])


def test_squares_follow_executions_and_the_oldest_goes(door: Page) -> None:
    after = "g.slice(1).reduce((squares, event) => m.squaresAfter(squares, event, 2), g[0])"
    found = call(
        door, "parts/live_rows", after, [], run("RUNNING", 1), run("RUNNING", 2), run("COMPLETED", 2), run("RUNNING", 3)
    )
    assert [(one["executionId"], one["state"]) for one in found] == [("e2", "COMPLETED"), ("e3", "RUNNING")]


def test_lines_are_chosen_by_level_and_text(door: Page) -> None:
    lines = [{"level": level, "text": f"a {level} line"} for level in ("debug", "info", "warning", "ERROR", "odd")]
    chosen = "m.chosenLines(g[0], g[1], g[2]).map((line) => line.level)"
    assert call(door, "parts/log", chosen, lines, None, "") == ["debug", "info", "warning", "ERROR", "odd"]
    assert call(door, "parts/log", chosen, lines, "warning", "") == ["warning", "ERROR"]
    assert call(door, "parts/log", chosen, lines, "info", "A WARN") == ["warning"]


def test_states_of_an_address_are_read_as_rest_reads_them(door: Page) -> None:
    states = "m.statesOf({state: g[0]})"
    assert call(door, "parts/execution_filters", states, "open,held") == ["RUNNING", "WAITING", "CRASHED"]
    assert call(door, "parts/execution_filters", states, "RUNNING,open") == ["RUNNING", "WAITING"]
    assert call(door, "parts/execution_filters", states, None) == []
    fits = "m.fits(g[0], g[1])"
    event = run("FAILED") | {"task": {"itemId": "01a2", "name": "nightly", "taskType": "report"}}
    for query in (
        {},
        {"state": "FAILED,RUNNING"},
        {"task": "nightly"},
        {"task": "01a"},
        {"type": "report"},
        {"node": "n1"},
    ):
        assert call(door, "parts/execution_filters", fits, query, event) is True, query
    for query in ({"state": "OPEN"}, {"task": "night"}, {"type": "x"}, {"node": "n2"}):
        assert call(door, "parts/execution_filters", fits, query, event) is False, query
