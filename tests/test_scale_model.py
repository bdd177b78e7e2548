"""The model of large clusters: it follows from its unit costs, its simulation from its seed, and the document from both."""

from __future__ import annotations

import re

import attrs
import pytest

from actors.timer_core import WINDOW_LIMIT
from benchmarks import scale_model as model
from benchmarks import scale_simulation as simulation
from benchmarks.scale_model import Capacities, Shape
from tests.source import ROOT

UNITS = model.read_units()
LARGE = model.SHAPES[-1]
PAGE = ROOT / "docs" / "explanation" / "scale.md"


def share(shape: Shape, resource: str, capacities: Capacities | None = None) -> float:
    return next(use.share for use in model.uses(UNITS, shape, capacities) if use.resource == resource)


def test_a_share_is_of_what_there_is() -> None:
    assert model.Use("x", 3.0, 2.0, "y").share == 1.5


def test_the_first_has_the_largest_share() -> None:
    found = [use.share for use in model.uses(UNITS, LARGE)]
    assert found == sorted(found, reverse=True)
    assert model.first(UNITS, LARGE).share == found[0]


def test_one_node_has_no_cluster() -> None:
    names = {use.resource for use in model.uses(UNITS, model.SHAPES[0])}
    assert not any("ZooKeeper" in name or "gossip" in name for name in names)
    assert model.gossip(UNITS, "bytes", 1) == 0


@pytest.mark.parametrize(
    "resource", [use.resource for use in model.uses(UNITS, LARGE) if use.resource != "notifications"]
)
def test_nothing_gets_easier_as_a_cluster_grows(resource: str) -> None:
    small, large = (share(model.grown(fires), resource) for fires in (5_000.0, 500_000.0))
    # What each node does for itself, or the ratio of one pass to the next, may stay as it is.
    assert large >= small * 0.9 or "autovacuum" in resource


def test_twice_the_machine_is_half_used() -> None:
    there = Capacities()
    twice = attrs.evolve(there, cores=2 * there.cores, disk_bytes=2 * there.disk_bytes)
    for resource in ("PostgreSQL: disk", "PostgreSQL: processors"):
        assert share(LARGE, resource, twice) == pytest.approx(share(LARGE, resource) / 2)


def test_partitions_and_their_imbalance() -> None:
    assert model.most_partitions(Shape(100, 1, 1)) == 3
    assert model.imbalance(Shape(100, 1, 1)) == pytest.approx(300 / 256)
    assert model.imbalance(Shape(256, 1, 1)) == 1
    # Nodes beyond the number of partitions own nothing: the others bear it.
    assert model.imbalance(Shape(512, 1, 1)) == 2


def test_a_fire_costs_less_where_commits_are_full() -> None:
    costs = [model.per_fire(UNITS, "server CPU us", rate) for rate in (10.0, 1_000.0, 5_000.0, 1e6)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == costs[1] == UNITS["server CPU us, steady"]
    assert costs[-1] == pytest.approx(UNITS["server CPU us, all at once"], rel=0.05)


def test_executions_are_kept_by_age_and_by_number() -> None:
    assert model.executions_kept(Shape(1, 10, 1.0, retention=60)) == 60
    assert model.executions_kept(Shape(1, 10, 1.0, retention=1e9)) == 10_000


def test_page_images_are_bounded_by_the_pages() -> None:
    """All pages between two checkpoints, and no more; few fires touch a page each."""
    there = Capacities(checkpoint_seconds=100.0)
    much = model.page_images(UNITS, Shape(1, 1e6, 1e9, retention=1e-9), there) * 100
    bytes_ = sum(UNITS[f"bytes per task, packed: {name}"] for name in model.TASK_PARTS)
    # An empty index of executions is one page.
    assert much == pytest.approx(1e6 * bytes_ / model.PAGE + 1, rel=0.01)
    assert model.page_images(UNITS, Shape(1, 1e9, 0.01), there) == pytest.approx(0.05, rel=0.05)


def test_limits_are_where_shares_are_one() -> None:
    found = model.limits(UNITS)
    assert list(found.values()) == sorted(found.values())
    assert "PostgreSQL: write-ahead log" in found
    for resource, fires in found.items():
        if resource != "PostgreSQL: connections":
            assert share(model.grown(fires), resource) == pytest.approx(1, rel=0.05)
    # Whole nodes have whole connections.
    assert share(model.grown(found["PostgreSQL: connections"]), "PostgreSQL: connections") == pytest.approx(1, abs=0.02)


def test_the_window_is_full_where_the_program_says_so() -> None:
    fires = WINDOW_LIMIT / 60 / (86 * 3 / 256) * 3
    assert share(Shape(3, 1e6, fires), "timer's window") == pytest.approx(1)


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.25"), (99.7, "100"), (12_345, "12.3 k"), (2e7, "20 M"), (3e9, "3 G")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert model.number(value) == text


# -- the simulation


def test_the_same_seed_gives_the_same_figures() -> None:
    assert simulation.death(UNITS, LARGE, trials=20) == simulation.death(UNITS, LARGE, trials=20)
    assert simulation.death(UNITS, LARGE, seed=2, trials=20) != simulation.death(UNITS, LARGE, trials=20)
    assert simulation.balance(10, 1e5, 256) == simulation.balance(10, 1e5, 256)


@pytest.mark.parametrize("nodes", [1, 3, 100, 300])
def test_every_task_has_a_node(nodes: int) -> None:
    held = simulation.shares(nodes, 1e6, 256)
    assert sum(held.values()) == pytest.approx(1e6)
    assert len(held) == nodes


def test_shares_are_exact() -> None:
    found = simulation.balance(100, 1e8, 256)
    assert (found.fewest, found.most) == (2, 3)
    assert found.busiest == pytest.approx(300 / 256, rel=0.02)
    assert simulation.balance(300, 1e6, 256).fewest == 0


def test_midnight_is_bounded_by_the_slower_of_nodes_and_database() -> None:
    many = Capacities(cores=1e6, wal_bytes=1e15)
    one = simulation.midnight(UNITS, Shape(1, 1e6, 1.0), many)
    assert one.last == pytest.approx(UNITS["node CPU us, all at once"], rel=0.01)
    few = Capacities(cores=1.0)
    ten = simulation.midnight(UNITS, Shape(10, 1e6, 1.0), few)
    assert ten.last == pytest.approx(UNITS["server CPU us, all at once"], rel=0.01)
    assert ten.half < ten.last
    assert one.on_time <= one.live < 1
    assert one.governed > one.last


def test_a_small_midnight_asks_no_governor() -> None:
    found = simulation.midnight(UNITS, Shape(3, 1_000, 1.0))
    assert found.live == pytest.approx(1)
    assert found.governed == 0


def test_a_death_is_noticed_before_it_is_made_up_for() -> None:
    found = simulation.death(UNITS, LARGE, trials=50)
    assert found.owned < found.read < found.caught_up <= found.worst
    assert found.partitions in (2, 3)
    assert found.takers <= found.partitions
    # What is measured with real servers (`bench takeover`) lies in the same seconds.
    assert 3 < found.owned < 6


# -- the document


@pytest.mark.parametrize("part", [model.table, model.order, simulation.told])
def test_the_tables_of_the_document_are_those_of_the_model(part: object) -> None:
    assert callable(part)
    text = PAGE.read_text("utf-8")
    missing = [line for line in part(UNITS).splitlines() if not re.fullmatch(r"[|-]*", line) and line not in text]
    assert missing == [], "python -m benchmarks.scale prints them"


def test_the_picture_is_that_of_the_model() -> None:
    drawn = (PAGE.parent.parent / "assets" / "scale.svg").read_text("utf-8")
    assert drawn == model.picture(UNITS), "python -m benchmarks.scale --picture docs/assets/scale.svg"
