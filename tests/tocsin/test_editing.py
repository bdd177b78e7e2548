"""Changing and activating tasks from Python, and declared tasks with any trigger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

import tocsin
from actors.command_messages import EditTask, RunTask
from actors.handling.catalogue import Catalogue, task_type
from actors.model.policy import DEFAULT_POLICIES, Policies
from actors.model.task import Task
from actors.model.trigger import CalendarInterval, Interval, Union
from runtime.clock import DAY, MINUTE, SECOND, Micros
from runtime.errors import Conflict, InvalidRequest
from runtime.ids import made_at
from tests.tocsin.conftest import CATALOGUE
from tocsin.building.builder import ACTOR
from tocsin.node import make_declared
from tocsin.tasks import DECLARED_TASKS, DeclaredTask
from tocsin.telling.why import trigger_words
from tocsin.vocabulary.policies import policy_sources
from tocsin.vocabulary.views import task_view


async def test_a_task_is_changed_part_by_part(tmp_path: Path) -> None:
    async with tocsin.open_node(catalogue=CATALOGUE, data=tmp_path) as node:
        made = await node.when({"everyMonths": 1, "day": "last", "at": "18:00"}, "greet", name="a", region="eu")
        assert isinstance(made.definition.trigger, CalendarInterval)
        edited = await node.edit("a", {"policies": {"timeout": "5m"}, "labels": {"team": "x"}})
        assert (edited.definition.policies.timeout, edited.definition.trigger) == (5 * MINUTE, made.definition.trigger)
        assert task_view(edited, "node-1")["labels"] == {"team": "x"}
        with pytest.raises(InvalidRequest, match="unknown field 'policy'"):
            await node.edit("a", {"policy": {}})
        await node.new_task("greet").named("b").with_period("1d").depends_on("a").schedule()
        with pytest.raises(InvalidRequest, match="cannot wait for itself"):
            await node.edit("b", {"dependencies": ["b"]})
        with pytest.raises(Conflict, match="would wait for itself"):
            await node.edit("a", {"dependencies": ["b"]})
        await node.cancel("a")
        activated = await node.activate("a", {"any": [{"every": "1h"}, {"cron": "H 3 * * *"}], "maxRuns": 2})
        assert isinstance(activated.definition.trigger, Union)
        assert activated.definition.bounds.max_runs == 2
        with pytest.raises(InvalidRequest, match=r"trigger\.cron"):
            await node.activate("a", {"cron": "61 * * * *"})


async def test_a_declared_trigger_counts_from_when_the_task_was_made(tmp_path: Path) -> None:
    def declared(**trigger: Any) -> DeclaredTask:
        return DeclaredTask("greet", "greet", None, None, "UTC", {}, True, (), trigger=trigger)

    body = {"any": [{"everyDays": 3, "at": "10:00"}, {"cron": "H 3 * * *"}], "start": "2w", "maxRuns": 12}
    async with tocsin.open_node(catalogue=CATALOGUE, data=tmp_path) as node:
        await make_declared(node, [declared(**body)])
        made = await node.task("greet")
    async with tocsin.open_node(catalogue=CATALOGUE, data=tmp_path) as node:
        await make_declared(node, [declared(**body)])
        again = await node.task("greet")
        assert (again.definition, again.state.revision) == (made.definition, 1)
        await make_declared(node, [declared(every="1d", end="90d")])
        changed = await node.task("greet")
        assert isinstance(changed.definition.trigger, Interval)
        assert changed.definition.bounds.end == made_at(made.definition.id) + 90 * DAY


def test_a_declaration_has_one_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.tasks.DECLARED_TASKS", declared := dict(DECLARED_TASKS))
    tocsin.declare("monthly", "greet", trigger={"everyMonths": 1})
    assert declared["monthly"].trigger == {"everyMonths": 1}
    with pytest.raises(InvalidRequest, match="one of every, cron and trigger"):
        tocsin.declare("twice", "greet", every="5m", trigger={"every": "5m"})
    with pytest.raises(InvalidRequest, match="trigger: an object, not '5m'"):
        tocsin.declare("text", "greet", trigger="5m")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="every, cron or trigger is required"):
        tocsin.declare("none", "greet")


def test_it_is_told_where_a_policy_comes_from() -> None:
    own = Policies(timeout=Micros(SECOND), priority=1)
    task = Policies(timeout=Micros(SECOND), priority=2)
    sources = policy_sources(task, own)
    assert (sources["timeout"], sources["priority"], sources["overlap"]) == ("type", "task", "default")
    assert set(policy_sources(DEFAULT_POLICIES, None).values()) == {"default"}

    async def handler(ctx: Any) -> None: ...

    assert Catalogue([task_type("own", handler, policies=own)]).get("own") is not None


async def test_bounds_are_told_in_words(tmp_path: Path) -> None:
    async with tocsin.open_node(catalogue=CATALOGUE, data=tmp_path) as node:
        made = await node.new_task("greet").with_period("1d").spread("10m").max_runs(3).schedule()
        words = trigger_words(made.definition.trigger, made.definition.bounds)
        assert "at a place of its own in the 10m after, 3 times at most" in words


async def test_a_task_that_runs_meanwhile_can_be_edited_and_one_that_is_edited_meanwhile_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tocsin.open_node(catalogue=CATALOGUE, data=tmp_path) as node:
        made = await node.every("1d", "greet", name="busy")
        read = node.task

        async def run_after(reference: str) -> Task:
            found = await read(reference)
            await node._ask(found, lambda reply: RunTask(found.id, None, "task", None, ACTOR, reply))
            return found

        monkeypatch.setattr(node, "task", run_after)
        edited = await node.edit("busy", {"tags": ["a"]})
        assert edited.definition.tags == ("a",)
        assert edited.state.version > made.state.version + 1, "it was run between"

        async def edit_after(reference: str) -> Task:
            found = await read(reference)
            changed = attrs.evolve(found.definition, tags=("b",))
            await node._ask(found, lambda reply: EditTask(changed, None, ACTOR, reply))
            return found

        monkeypatch.setattr(node, "task", edit_after)
        with pytest.raises(tocsin.StaleVersion, match="definition was changed meanwhile"):
            await node.edit("busy", {"labels": {"team": "x"}})
        assert (await read("busy")).definition.tags == ("b",)
