"""Where a task runs: the same from JSON, Python and the command line; and users' own strategies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.model.placement import ANYWHERE, STRATEGIES, Placement, Where
from actors.model.task import Definition
from actors.rules.placing import Placer, Rule
from runtime.errors import InvalidRequest
from tests.actors.records import running
from tests.actors.test_placing import execution, peer
from tests.tocsin.bad_input import GOOD, KNOWN, NOW
from tests.tocsin.conftest import CATALOGUE, greet
from tests.tocsin.test_builder import FakeNode
from tocsin.building.builder import TaskBuilder
from tocsin.cli.bodies import beside_body, unset_body, with_option
from tocsin.cli.options import Beside
from tocsin.cli.tasks import _placement_words
from tocsin.loading import load_catalogue
from tocsin.placing.loading import GROUP, load_strategies
from tocsin.settings.config import Config, load_config
from tocsin.settings.placement_rules import MAX_RULES, parse_rules, read_rules
from tocsin.vocabulary.definitions import definition_from_json, definition_json
from tocsin.vocabulary.placements import placement_json, read_placement
from tocsin.vocabulary.views import execution_view

TASK_ID = "01890000-0000-7000-8000-000000000001"
ALL = Placement(Where.ALL)


def read(body: dict[str, Any], base: Definition | None = None, catalogue: Catalogue = CATALOGUE) -> Definition:
    given_body = GOOD | body if base is None else body
    return definition_from_json(given_body, catalogue, NOW, task_id=TASK_ID, owner="me", base=base, known=KNOWN)


def builder() -> TaskBuilder:
    return TaskBuilder(FakeNode(), "greet").with_period("5m")


SAME = [
    (Placement(), {"on": "any"}, Beside(on="any"), lambda b: b),
    (ALL, "all", Beside(on="all"), lambda b: b.on_all_nodes()),
    (ALL, {"on": "all"}, Beside(on="all"), lambda b: b.on_nodes("x").on_all_nodes()),
    (
        Placement(Where.NAMED, ("b", "a")),
        {"nodes": ["b", "a"]},
        Beside(on="node=b,a"),
        lambda b: b.on_nodes("b", "a"),
    ),
    (
        Placement(Where.NAMED, ("a",), strategy="pinned"),
        {"on": "nodes", "nodes": ["a"], "strategy": "pinned"},
        Beside(on="node=a", strategy="pinned"),
        lambda b: b.placed(strategy="pinned").on_nodes("a"),
    ),
    (
        Placement(Where.SELECTOR, labels=(("disk", "ssd"), ("zone", "eu"))),
        {"labels": {"zone": "eu", "disk": "ssd"}},
        Beside(on="label=zone:eu,disk:ssd"),
        lambda b: b.on_nodes_with({"zone": "eu"}, disk="ssd"),
    ),
    (Placement(strategy="random"), {"strategy": "random"}, Beside(strategy="random"), lambda b: b.placed(strategy="random")),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "in_json", "typed", "verbs"), SAME, ids=str)
def test_it_is_the_same_everywhere(expected: Placement, in_json: Any, typed: Beside, verbs: Any) -> None:
    made = read({"placement": in_json})
    assert made.placement == expected
    assert (made.placement is ANYWHERE) == (expected == ANYWHERE)
    assert read(beside_body(typed)).placement == expected
    assert verbs(builder()).build().placement == expected
    assert read({"placement": definition_json(made)["placement"]}).placement == expected


def test_what_is_not_said_is_null_and_nothing_is_any_node() -> None:
    assert read({}).placement is ANYWHERE
    assert read({"placement": None}).placement is ANYWHERE
    assert builder().build().placement is ANYWHERE
    assert placement_json(ANYWHERE) == {"on": "any", "nodes": None, "labels": None, "strategy": None}
    assert placement_json(Placement(Where.SELECTOR, labels=(("a", "b"),), strategy="rules")) == {
        "on": "selector",
        "nodes": None,
        "labels": {"a": "b"},
        "strategy": "rules",
    }


WRONG = [
    ("every", "placement.on: one of any, all, nodes, selector, not 'every'"),
    (5, "placement: an object, not 5"),
    ([], "placement: an object, not []"),
    ({"node": ["a"]}, "unknown field 'placement.node'; did you mean 'nodes'?"),
    ({"on": None}, "placement.on: one of any, all, nodes, selector, not None"),
    ({"on": "nodes"}, "placement.nodes: required with placement.on nodes, at least one"),
    ({"on": "nodes", "nodes": None}, "placement.nodes: required with placement.on nodes, at least one"),
    ({"nodes": []}, "placement.nodes: at least 1 names of nodes, not 0"),
    ({"nodes": "a"}, "placement.nodes: a list of names of nodes, not 'a'"),
    ({"nodes": ["a", "a"]}, "placement.nodes: each only once"),
    ({"nodes": ["a", ""]}, "placement.nodes: 1 to 128 characters, not 0"),
    ({"nodes": ["x" * 129]}, "placement.nodes: 1 to 128 characters, not 129"),
    ({"nodes": [str(number) for number in range(101)]}, "placement.nodes: at most 100 names of nodes, not 101"),
    ({"on": "selector"}, "placement.labels: required with placement.on selector, at least one"),
    ({"labels": {}}, "placement.labels: required with placement.on selector, at least one"),
    ({"labels": ["a"]}, "placement.labels: texts by name, not ['a']"),
    ({"labels": {"a": 5}}, "placement.labels.a: a text, not 5"),
    ({"labels": {str(number): "x" for number in range(33)}}, "placement.labels: at most 32, not 33"),
    ({"on": "all", "nodes": ["a"]}, "placement.nodes: goes with placement.on nodes, not with all: ['a']"),
    ({"on": "any", "labels": {"a": "b"}}, "placement.labels: goes with placement.on selector, not with any"),
    ({"nodes": ["a"], "labels": {"a": "b"}}, "placement.labels: goes with placement.on selector, not with nodes"),
    ({"on": "all", "strategy": "random"}, "goes with placement.on any, nodes and selector, not with all: 'random'"),
    ({"strategy": ""}, "placement.strategy: 1 to 128 characters, not 0"),
    ({"strategy": 5}, "placement.strategy: a text, not 5"),
    ({"strategy": "randon"}, "rules, not 'randon'; did you mean 'random'?"),
    ({"strategy": "os:abort"}, f"placement.strategy: one of {', '.join(STRATEGIES)}, not 'os:abort'"),
]  # fmt: skip


@pytest.mark.parametrize(("placement", "complaint"), WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_refused_by_its_name(placement: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read({"placement": placement})
    assert complaint in str(caught.value)


def test_what_cannot_be_placed_says_so() -> None:
    with pytest.raises(InvalidRequest, match=r"placement: a task in memory runs on the node that holds it"):
        read({"persistent": False, "placement": "all"})
    with pytest.raises(InvalidRequest, match=r"placement: a task in memory"):
        builder().non_persistent().on_nodes("a").build()
    with pytest.raises(InvalidRequest, match=r"placement.on: all does not go with a trigger that fires once"):
        read({"placement": "all", "trigger": {"after": "5m"}})
    with pytest.raises(InvalidRequest, match=r"placement.on: all does not go"):
        TaskBuilder(FakeNode(), "greet").after("5m").on_all_nodes().build()
    base = read({"placement": "all"})
    with pytest.raises(InvalidRequest, match=r"placement.on: all does not go"):
        read({"trigger": {"at": "2030-01-01T00:00:00Z"}}, base)
    once = read({"trigger": {"after": "5m"}, "placement": {"nodes": ["a"]}})
    assert once.placement.where is Where.NAMED
    for verb in (lambda: builder().on_nodes().build(), lambda: builder().on_nodes_with().build()):
        with pytest.raises(InvalidRequest, match="at least"):
            verb()
    with pytest.raises(InvalidRequest, match="labels: texts by name, not"):
        builder().on_nodes_with(["zone"])  # type: ignore[arg-type]


def test_an_edit_gives_where_as_a_whole_and_a_strategy_alone() -> None:
    base = read({"placement": {"nodes": ["a"], "strategy": "pinned"}})
    assert read({}, base).placement == base.placement
    assert read({"name": "other"}, base).placement == base.placement
    assert read({"placement": {"strategy": "random"}}, base).placement == Placement(Where.NAMED, ("a",), (), "random")
    assert read({"placement": {"strategy": None}}, base).placement == Placement(Where.NAMED, ("a",))
    assert read({"placement": {"labels": {"x": "y"}}}, base).placement == Placement(
        Where.SELECTOR, (), (("x", "y"),), "pinned"
    )
    assert read({"placement": "any"}, base).placement == Placement(strategy="pinned")
    assert read({"placement": "all"}, base).placement == ALL
    assert read({"placement": None}, base).placement is ANYWHERE
    assert read({"placement": {"nodes": ["b"]}}, read({"placement": "all"})).placement == Placement(Where.NAMED, ("b",))


def test_a_strategy_that_went_with_its_plug_in_hinders_no_other_edit() -> None:
    base = attrs.evolve(read({}), placement=Placement(strategy="gone:Away"))
    assert read({"name": "other"}, base).placement.strategy == "gone:Away"
    with pytest.raises(InvalidRequest, match="not 'gone:Away'"):
        read({"placement": {"on": "any"}}, base)


def test_a_task_type_may_say_where_its_tasks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.tasks.DECLARED", declared := Catalogue())

    @tocsin.task("sweep", placement="all")
    async def sweep(ctx: Any) -> None: ...

    entry = declared.get("sweep")
    assert entry is not None
    assert entry.placement == ALL
    typed = {"taskType": "sweep"}
    assert read(typed, catalogue=declared).placement == ALL
    assert read(typed | {"placement": None}, catalogue=declared).placement is ANYWHERE
    assert read(typed | {"placement": {"nodes": ["a"]}}, catalogue=declared).placement == Placement(Where.NAMED, ("a",))
    assert read(typed | {"persistent": False}, catalogue=declared).placement is ANYWHERE
    node = FakeNode(catalogue=declared)
    assert TaskBuilder(node, "sweep").with_period("5m").build().placement == ALL
    assert TaskBuilder(node, "sweep").with_period("5m").non_persistent().build().placement is ANYWHERE
    assert TaskBuilder(node, "sweep").with_period("5m").on_nodes("a").build().placement.nodes == ("a",)
    with pytest.raises(InvalidRequest, match=r"placement.on: one of"):
        tocsin.task("sweep", placement="everywhere")


# -- the command line


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        (Beside(on="nodes=a"), "--on: any, all, node=NAME,NAME or label=NAME:VALUE,NAME:VALUE, not 'nodes=a'"),
        (Beside(on="node-1"), "--on: any, all, node=NAME,NAME or label=NAME:VALUE,NAME:VALUE, not 'node-1'"),
        (Beside(on="node="), "not 'node='"),
        (Beside(on="label=zone"), "each name once, not 'zone'"),
        (Beside(on="label=a:1,a:2"), "each name once, not 'a:2'"),
        (Beside(on="label="), "each name once, not ''"),
    ],
)
def test_what_is_typed_wrongly_is_told_by_its_option(typed: Beside, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        beside_body(typed)
    assert complaint in str(caught.value)


def test_refusals_name_the_options() -> None:
    assert with_option("placement.nodes: goes with placement.on nodes") == "--on: goes with --on nodes"
    assert with_option("placement.strategy: no") == "--strategy: no"
    assert unset_body({}, ["strategy"]) == {"placement": {"strategy": None}}
    assert beside_body(Beside()) == {}
    assert beside_body(Beside(on="label=url:http://x")) == {
        "placement": {"on": "selector", "labels": {"url": "http://x"}}
    }


@pytest.mark.parametrize(
    ("placement", "words"),
    [
        (Placement(), None),
        (ALL, "all nodes"),
        (Placement(strategy="random"), "any node, chosen by random"),
        (Placement(Where.NAMED, ("b", "a")), "b, a"),
        (Placement(Where.SELECTOR, (), (("a", "1"), ("b", "")), "pinned"), "nodes with a=1, b=, chosen by pinned"),
    ],
)
def test_where_a_task_runs_is_shown(placement: Placement, words: str | None) -> None:
    assert _placement_words(placement_json(placement)) == words


def test_the_node_that_an_execution_is_for_is_shown() -> None:
    assert execution_view(running(target="a"))["target"] == "a"
    assert execution_view(running())["target"] is None


# -- strategies of one's own


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "our_placement.py").write_text(
        "class Last:\n"
        "    def choose(self, candidates, facts):\n"
        "        return candidates[-1].peer\n"
        "class Shy:\n"
        "    def __init__(self, name):\n"
        "        pass\n"
        "class Group:\n"
        "    class Inner(Last):\n"
        "        pass\n"
        "number = int\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "our_placement"
    sys.modules.pop("our_placement", None)


def test_a_class_of_one_s_own_may_be_named_where_the_node_names_it(plugin: str) -> None:
    name = f"{plugin}:Last"
    catalogue = load_catalogue((), placements=[name, f"{plugin}:Group.Inner"])
    catalogue.register(task_type("greet", greet))
    assert sorted(catalogue.placements) == [f"{plugin}:Group.Inner", name]
    task = read({"placement": {"strategy": name}}, catalogue=catalogue)
    assert task.placement.strategy == name
    assert Catalogue(base=catalogue).placements is catalogue.placements
    with pytest.raises(InvalidRequest, match=f"not '{name}'"):
        read({"placement": {"strategy": name}})
    definition = attrs.evolve(task, type="command")
    chosen = Placer(None, own=catalogue.placements).place(  # type: ignore[arg-type]
        definition, execution(), [peer("a"), peer("b")], here="a"
    )
    assert chosen.peer is not None
    assert chosen.peer.name == "b"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no_such_module:Class", "cannot load 'no_such_module:Class': ModuleNotFoundError"),
        ("our_placement:Nothing", "cannot load 'our_placement:Nothing': AttributeError"),
        ("our_placement:Shy", "cannot load 'our_placement:Shy': TypeError"),
        ("our_placement:number", "'our_placement:number' has no method choose(candidates, facts)"),
        ("our_placement", "a class such as 'package.module:Class' or a name in tocsin.placements, not 'our_placement'"),
        ("our_placement:", "a class such as"),
        (":Last", "a class such as"),
        ("our placement:Last", "a class such as"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused_at_the_start(plugin: str, name: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_strategies([name])
    assert str(caught.value).startswith("placement.plugins: ")
    assert complaint in str(caught.value)


def test_packages_offer_strategies_by_entry_points(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = [EntryPoint("theirs", f"{plugin}:Last", GROUP)]
    monkeypatch.setattr("tocsin.placing.loading.entry_points", lambda *, group: offered if group == GROUP else [])
    assert list(load_strategies(["theirs"])) == ["theirs"]
    assert sorted(load_strategies([f"{plugin}:Last"])) == [f"{plugin}:Last", "theirs"]
    offered[0] = EntryPoint("random", f"{plugin}:Last", GROUP)
    with pytest.raises(InvalidRequest, match="'random' is the name of a built-in strategy"):
        load_strategies([])


def test_the_node_s_settings_say_which(plugin: str) -> None:
    def loaded(**settings: str) -> Config:
        return load_config({f"TOCSIN_PLACEMENT_{key.upper()}": value for key, value in settings.items()}).config

    assert loaded().own_placements == ()
    assert loaded(strategy="pinned", plugins="a:B,c:D").own_placements == ("a:B", "c:D")
    assert loaded(strategy="a:B", plugins="a:B").own_placements == ("a:B",)
    assert loaded(strategy="e:F", plugins="a:B").own_placements == ("a:B", "e:F")
    assert loaded(rules="type=x -> a=b, -> c=d").placement_rules == ("type=x -> a=b", "-> c=d")
    with pytest.raises(InvalidRequest, match=r"placement\.rules: a rule such as"):
        loaded(rules="type=x")


# -- rules


def test_rules_are_read_from_a_list_or_one_text() -> None:
    texts = read_rules(
        " type=video.* tag=gpu -> gpu=yes , queue=mail label.team=a tag=x tag=y -> zone=eu disk=ssd,-> a=b", "r"
    )
    assert texts == (
        "type=video.* tag=gpu -> gpu=yes",
        "queue=mail label.team=a tag=x tag=y -> zone=eu disk=ssd",
        "-> a=b",
    )
    assert parse_rules(texts) == (
        Rule((("gpu", "yes"),), "video.*", ("gpu",)),
        Rule((("disk", "ssd"), ("zone", "eu")), None, ("x", "y"), (("team", "a"),), "mail"),
        Rule((("a", "b"),)),
    )
    assert read_rules(list(texts), "r") == texts
    assert read_rules("", "r") == ()


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (5, "r: a list of rules, not 5"),
        ([5], "r: a list of rules, not [5]"),
        ("type=x", "r: a rule such as 'type=video.* tag=gpu -> gpu=yes', not 'type=x'"),
        ("type=x ->", "not 'type=x ->'"),
        ("type -> a=b", "not 'type -> a=b'"),
        ("type= -> a=b", "not 'type= -> a=b'"),
        ("type=x -> a", "not 'type=x -> a'"),
        ("type=x type=y -> a=b", "r: type or queue, each once, tag, label.NAME, not 'type'"),
        ("queue=x queue=y -> a=b", "not 'queue'"),
        ("zone=x -> a=b", "not 'zone'"),
        ("label.=x -> a=b", "not 'label.'"),
        (["-> a=b"] * (MAX_RULES + 1), "r: at most 100 rules, not 101"),
    ],
)
def test_a_rule_that_cannot_be_read_is_shown(value: object, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_rules(value, "r")
    assert complaint in str(caught.value)
    assert len(read_rules(["-> a=b"] * MAX_RULES, "r")) == MAX_RULES


# -- whatever comes

KEYS = st.sampled_from(["on", "nodes", "labels", "strategy", "x"])
values = st.recursive(
    st.none() | st.sampled_from(["any", "all", "nodes", "selector", "a", "random", "", 5, True]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(values, values)
def test_whatever_is_read_is_shown_and_read_back_as_the_same(first: Any, second: Any) -> None:
    found = ANYWHERE
    for value in (first, second):
        try:
            found = read_placement(value, found)
        except InvalidRequest as error:
            assert str(error).startswith(("placement", "unknown field 'placement"))  # noqa: PT017
    assert read_placement(placement_json(found)) == found
    assert (found.where is Where.NAMED) == bool(found.nodes)
    assert (found.where is Where.SELECTOR) == bool(found.labels)
    assert not (found.where is Where.ALL and found.strategy)
