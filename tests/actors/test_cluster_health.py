"""What a node of a cluster complains of, and that it complains of nothing else."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.cluster_health import complaints, hindrances
from runtime.coordination import CoordinationStatus

WELL = CoordinationStatus("session", connected=True, trusted=True, leader="b", owners={0: "a", 1: "b"})


def found(
    status: CoordinationStatus, *, partitions: int = 2, nodes: int = 2, draining: bool = False, in_doubt: bool = False
) -> list[str]:
    told: dict[str, Any] = {
        "name": "a",
        "partitions": partitions,
        "nodes": nodes,
        "draining": draining,
        "in_doubt": in_doubt,
    }
    assert set(hindrances(status, **told)) <= set(complaints(status, **told))
    return complaints(status, **told)


@pytest.mark.parametrize(
    ("change", "keeps_time"),
    [
        ({"connected": False, "trusted": False}, True),
        ({"trusted": False}, True),
        ({"connected": False, "trusted": False, "session": None}, False),
        ({"connected": False, "trusted": False, "problem": "the store does not answer"}, False),
        ({"gate": "cold start", "owners": {}}, False),
        ({"owners": {0: "b", 1: "b"}}, False),
    ],
)
def test_without_its_servers_a_node_keeps_time_while_it_may_have_its_session(
    change: dict[str, Any], keeps_time: bool
) -> None:
    told: dict[str, Any] = {"name": "a", "partitions": 2, "nodes": 2, "draining": False, "in_doubt": False}
    assert (hindrances(attrs.evolve(WELL, **change), **told) == []) is keeps_time
    assert hindrances(WELL, **{**told, "in_doubt": True}) != []


def test_a_node_that_owns_its_share_complains_of_nothing() -> None:
    assert found(WELL) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problem": "another node has the name 'a'"}, "owns nothing: another node has the name 'a'"),
        (
            {"connected": False, "trusted": False},
            "running work finishes and what is owned is kept, but nothing is handed",
        ),
        ({"connected": False, "trusted": False, "session": None}, "nothing new is settled or started here"),
        ({"trusted": False}, "have not confirmed the session in time"),
        ({"gate": "cold start: 1 of 3 nodes are here", "owners": {}}, "nobody owns anything yet: cold start: 1 of 3"),
        ({"owners": {0: "b", 1: "b"}}, "no partition is assigned to it yet"),
    ],
)
def test_each_state_has_its_complaint(change: dict[str, Any], words: str) -> None:
    (complaint,) = found(attrs.evolve(WELL, **change))
    assert words in complaint


def test_a_barred_node_without_servers_says_both() -> None:
    assert len(found(attrs.evolve(WELL, problem="barred", connected=False))) == 2


def test_a_lease_in_doubt_is_told_beside_the_rest() -> None:
    (complaint,) = found(WELL, in_doubt=True)
    assert "lease" in complaint and "ended" in complaint


def test_who_shall_own_nothing_does_not_complain() -> None:
    without = attrs.evolve(WELL, owners={0: "b", 1: "c"})
    assert found(without, draining=True) == []
    assert found(without, nodes=3) == []
