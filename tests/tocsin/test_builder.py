from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

import tocsin
from actors.handling.catalogue import Catalogue
from actors.model.policy import CatchUp, OnCrash, Overlap, Retry
from actors.model.task import Definition, Extra, Task, TaskState
from actors.model.trigger import UNBOUNDED, Bounds, Cron, Interval, Once
from runtime.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros
from runtime.errors import Conflict, InvalidRequest
from tests.tocsin.conftest import CATALOGUE
from tocsin.building.builder import TaskBuilder, add_many
from tocsin.operations.error_table import ERRORS, ErrorRow, error_of

NOW = Instant(1_800_000_000 * SECOND)


class Clock:
    """Time stands still; ids count."""

    def __init__(self) -> None:
        self.ids = 0

    def now(self) -> Instant:
        return NOW

    def new_id(self) -> str:
        self.ids += 1
        return f"00000000-0000-7000-8000-{self.ids:012}"


@attrs.define
class FakeNode:
    """Keeps what is made; refuses a name that is there."""

    catalogue: Catalogue = CATALOGUE
    world: Any = attrs.field(factory=Clock)
    made: list[Definition] = attrs.field(factory=list)
    calls: int = 0

    async def create(self, definitions: Sequence[Definition], actor: str) -> list[Task | Exception]:
        self.calls += 1
        return [self._make(definition) for definition in definitions]

    def _make(self, definition: Definition) -> Task | Exception:
        if any(former.name == definition.name for former in self.made):
            return Conflict(f"the name {definition.name!r} is taken")
        self.made.append(definition)
        return Task(definition, TaskState())


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


async def test_every_verb_is_in_the_definition(node: FakeNode) -> None:
    made = await (
        TaskBuilder(node, "greet")
        .named("eu report")
        .with_parameters(region="eu")
        .with_parameters({"count": 3})
        .with_cron("30 2 * * mon-fri", timezone="Europe/Berlin", gap="skip", fold="both")
        .starting(datetime(2027, 6, 1, 12, tzinfo=UTC))
        .ending("900d")
        .times(12)
        .catch_up("all", limit=7)
        .overlap("queue")
        .retry(tocsin.Retry(5, delay="30s", backoff="exponential", give_up_on=(KeyError, "ValueError")))
        .timeout("1m")
        .heartbeat_timeout("10s")
        .lateness_limit("1h")
        .on_crash("hold")
        .priority(1)
        .tags("a", "b")
        .extra(b"\x00\xff", "application/x-thing")
        .non_persistent()
        .schedule()
    )
    found = made.definition
    assert found == node.made[0]
    assert (found.name, found.type, found.parameters) == ("eu report", "greet", '{"count":3,"region":"eu"}')
    assert found.trigger == Cron("30 2 * * mon-fri", "Europe/Berlin", "skip", "both")
    assert found.bounds == Bounds(Instant(1_811_851_200 * SECOND), Instant(NOW + 900 * DAY), 12)
    assert found.policies.retry == Retry(5, Micros(30 * SECOND), "exponential", give_up_on=("KeyError", "ValueError"))
    assert (found.policies.catch_up, found.policies.catch_up_limit) == (CatchUp.ALL, 7)
    assert (found.policies.overlap, found.policies.on_crash) == (Overlap.QUEUE, OnCrash.HOLD)
    assert (found.policies.timeout, found.policies.heartbeat_timeout) == (MINUTE, 10 * SECOND)
    assert (found.policies.lateness_limit, found.policies.priority) == (HOUR, 1)
    assert (found.tags, found.extra) == (("a", "b"), Extra(b"\x00\xff", "application/x-thing"))
    assert (found.persistent, found.created_at) == (False, NOW)


@pytest.mark.parametrize(
    ("verb", "trigger"),
    [
        (lambda task: task.with_period("5m"), Interval(Micros(5 * MINUTE), NOW)),
        (lambda task: task.with_fixed_delay("5m"), Interval(Micros(5 * MINUTE), NOW, fixed_delay=True)),
        (lambda task: task.after("2h"), Once(Instant(NOW + 2 * HOUR))),
        (lambda task: task.at(datetime(2027, 6, 1, 12, tzinfo=UTC)), Once(Instant(1_811_851_200 * SECOND))),
        (lambda task: task.with_cron("@hourly"), Cron("@hourly")),
    ],
)
async def test_each_trigger_has_its_verb(
    node: FakeNode, verb: Callable[[TaskBuilder], TaskBuilder], trigger: object
) -> None:
    made = await verb(TaskBuilder(node, "greet")).schedule()
    assert (made.definition.trigger, made.definition.bounds) == (trigger, UNBOUNDED)
    assert made.definition.name == "greet 000000000001"


async def test_after_two_weeks_twice_an_hour_twelve_times_is_one_definition(node: FakeNode) -> None:
    made = await TaskBuilder(node, "greet").with_period("30m").starting("2w").times(12).schedule()
    start = Instant(NOW + 14 * DAY)
    assert (made.definition.trigger, made.definition.bounds) == (
        Interval(Micros(30 * MINUTE), start),
        Bounds(start, None, 12),
    )


WRONG: list[tuple[Callable[[TaskBuilder], object], str]] = [
    (lambda task: task.build(), "trigger: a task of type 'greet' needs one"),
    (lambda task: task.with_period("5m").after("1s"), "trigger: given twice"),
    (lambda task: task.with_period(5), "every: a duration is a text"),
    (lambda task: task.with_period("1ms").build(), "from 10 ms"),
    (lambda task: task.with_cron(5), "cron: str, not 5"),
    (lambda task: task.with_cron("* * * * *", timezone=5), "timezone: str"),
    (lambda task: task.with_cron("* * * * *", gap="x"), "gap: one of"),
    (lambda task: task.with_cron("99 * * * *").build(), "99"),
    (lambda task: task.with_cron("* * * * *", timezone="Mars/Phobos").build(), "Mars/Phobos"),
    (lambda task: task.at(datetime.fromisoformat("2027-06-01")), "no offset"),
    (lambda task: task.after("soon"), "after"),
    (lambda task: task.starting(5), "start"),
    (lambda task: task.times(0), "max_runs: a whole number from 1"),
    (lambda task: task.max_runs("2"), "max_runs"),
    (lambda task: task.with_period("5m").overlap("never").build(), "overlap: one of skip"),
    (lambda task: task.with_period("5m").overlap(["skip"]).build(), "overlap: one of skip"),
    (lambda task: task.with_period("5m").catch_up("x").build(), "catch_up: one of latest"),
    (lambda task: task.with_period("5m").catch_up("all", limit=0).build(), "catch_up_limit: a whole number from 1"),
    (lambda task: task.with_period("5m").on_crash("x").build(), "on_crash: one of resume"),
    (lambda task: task.with_period("5m").priority(11).build(), "priority"),
    (lambda task: task.with_period("5m").priority("1").build(), "priority"),
    (lambda task: task.with_period("5m").timeout("0s").build(), "timeout: longer than 0"),
    (lambda task: task.with_period("5m").timeout(None).build(), "timeout: a value, not None"),
    (lambda task: task.with_period("5m").retry(5).build(), "retry: a Retry, not 5"),
    (lambda task: task.with_period("5m").tags("").build(), "tags"),
    (lambda task: task.with_period("5m").named(" x").build(), "name"),
    (lambda task: task.with_period("5m").named(None).with_parameters(regio=1).build(), "unknown parameter 'regio'"),
    (lambda task: task.with_period("5m").with_parameters(region=1).build(), "parameter 'region' must be str"),
    (lambda task: task.extra("text"), "extra: bytes"),
    (lambda task: tocsin.Retry(-1), "retry.max_retries"),
    (lambda task: tocsin.Retry(delay=5), "retry.delay"),
    (lambda task: tocsin.Retry(backoff="x"), "retry.backoff"),
    (lambda task: tocsin.Retry(retry_on=(5,)), "an exception type or its name"),
]


@pytest.mark.parametrize(("wrong", "complaint"), WRONG)
def test_a_wrong_value_is_named(node: FakeNode, wrong: Callable[[TaskBuilder], object], complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        wrong(TaskBuilder(node, "greet"))
    assert complaint in str(caught.value)
    assert node.made == []


def test_an_unknown_type_is_named_with_the_nearest(node: FakeNode) -> None:
    with pytest.raises(InvalidRequest, match="'greeet'; did you mean 'greet'"):
        TaskBuilder(node, "greeet").with_period("5m").build()


async def test_the_error_of_the_node_is_raised(node: FakeNode) -> None:
    await TaskBuilder(node, "greet").named("a").with_period("5m").schedule()
    with pytest.raises(Conflict, match="'a' is taken"):
        await TaskBuilder(node, "greet").named("a").with_period("5m").schedule()


async def test_many_are_made_in_one_call_each_with_its_own_answer(node: FakeNode) -> None:
    tasks = [TaskBuilder(node, "greet").named(name).with_period("5m") for name in ("a", "b", "a")]
    tasks.insert(1, TaskBuilder(node, "greet").named("c"))
    first, unfinished, second, twice = await add_many(node, tasks)
    assert isinstance(first, Task)
    assert isinstance(unfinished, InvalidRequest)
    assert isinstance(second, Task)
    assert isinstance(twice, Conflict)
    assert [definition.name for definition in node.made] == ["a", "b"]
    assert node.calls == 1
    await add_many(node, (TaskBuilder(node, "greet").named(f"x{number}").with_period("5m") for number in range(1100)))
    assert (node.calls, len(node.made)) == (4, 1102)
    assert await add_many(node, []) == []


def test_the_public_names_are_few_and_all_there() -> None:
    kinds = [getattr(tocsin, name) for name in tocsin.__all__]
    errors = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, tocsin.TocsinError)]
    assert len(tocsin.__all__) - len(errors) <= 25
    assert sorted(tocsin.__all__) == tocsin.__all__
    assert all(getattr(tocsin, name) is not None for name in tocsin.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = tocsin.nothing


def test_completion_offers_what_can_be_imported_and_nothing_else() -> None:
    offered = {name for name in dir(tocsin) if not name.startswith("_")}
    assert offered == {*tocsin.__all__, "testing"}
    assert "__all__" in dir(tocsin)


@pytest.mark.parametrize("row", ERRORS, ids=lambda row: row.error.__name__)
def test_every_error_that_a_caller_meets_can_be_imported(row: ErrorRow) -> None:
    raised = type(error_of(row.title, row.status, "why"))
    assert getattr(tocsin, raised.__name__) is raised
    assert raised.__name__ in tocsin.__all__
