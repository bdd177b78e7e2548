"""The language of conditions: what it says, what it refuses, and that no condition costs more than its bound."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.model.event import MAX_CONDITION
from actors.rules import evaluation
from actors.rules.conditions import SHAPE, parse_condition
from actors.rules.evaluation import FUNCTIONS, MAX_STEPS, NAMES, ConditionFailed, Evaluation
from runtime.errors import InvalidRequest, TooLarge

FACTS: dict[str, Any] = {
    "result": {
        "rows": 12,
        "rate": 0.5,
        "name": "Näme",
        "checks": [{"status": "ok", "n": 1}, {"status": "bad", "n": 2}],
        "empty": [],
        "none": None,
        "yes": True,
        "huge": 10**100,
        "odd key": 3,
        "__class__": "a key like any other",
    },
    "input": {"x": 1},
    "execution": dict.fromkeys(SHAPE["execution"])
    | {"state": "FAILED", "duration": 61.5, "failure": {"type": "ValueError", "message": "no rows"}},
    "task": {"id": "t", "name": "nightly", "type": "work", "tags": ["a", "b"], "labels": {"team": "x"}, "owner": ""},
    "history": {"last": ["FAILED", "COMPLETED"], "previous": "COMPLETED", "failures_in_a_row": 2},
}

TRUE = [
    "true",
    "not false",
    "result.rows < 100 and execution.duration > 60",
    "result.rows + 1 == 13",
    "result.rows - 2 * 3 == 6",
    "result.rows / 8 == 1.5",
    "result.rows // 5 == 2",
    "result.rows % 5 == 2",
    "-result.rows == -12",
    "1 < result.rows <= 12 != 13",
    'execution.failure.type == "ValueError"',
    "result['odd key'] == 3",
    'result["__class__"] == "a key like any other"',
    "result.checks[1].n == 2",
    "result.checks[-1].n == 2",
    '"a" in task.tags and "c" not in task.tags',
    '"rows" in execution.failure.message',
    '"rows" in result',
    'task.type in ["work", "play"]',
    'task.type in ("work", "play")',
    'any(one.status != "ok" for one in result.checks)',
    'not all(one.status == "ok" for one in result.checks)',
    "sum(one.n for one in result.checks) == 3",
    'len([1, 2]) == 2 and len(one for one in result.checks if one.status == "ok") == 1',
    "sum(1 for state in history.last if state == 'FAILED') == 1",
    "any(any(two.n == one.n + 1 for two in result.checks) for one in result.checks)",
    "max(one.n for one in result.checks) == 2 and min([3, 1]) == 1",
    "abs(-3) == 3",
    'lower(result.name) == "näme"',
    'starts_with(result.name, "Nä") and ends_with(result.name, "me")',
    'like(task.name, "night*") and like(task.name, "*ly") and like(task.name, "n*g*t*y") and like(task.name, "nightly")',
    'not like(task.name, "*x*") and not like("ab", "ab*b") and not like("aXb", "a*Y*b") and not like("b", "a*")',
    "has(result.rows) and not has(result.nothing) and not has(result.nothing.deeper) and not has(result.checks[7])",
    "default(result.nothing, 5) == 5 and default(result.rows, 5) == 12",
    "result.none == null and result.none == None",
    "result.yes == True and result.yes",
    "(1 if result.yes else 2) == 1",
    "true != 1 and 1 != '1' and 1 == 1.0",
    "1 not in [true]",
    "result.rows > 5 or result.nothing > 5",
    "not (result.rows > 50 and result.nothing > 5)",
    "result.rows\n > 5\n",
    "default(max(result.empty)[0], 1) == 1",
]


@pytest.mark.parametrize("text", TRUE)
def test_what_is_true(text: str) -> None:
    assert parse_condition(text).holds(FACTS) is True
    assert parse_condition(f"not ({text})").holds(FACTS) is False


FAILING = [
    ("result.nothing == 1", "there is no 'nothing'"),
    ("result.checks[2] == 1", "no entry 2 among 2"),
    ("result.checks.status == 1", "a list has no 'status'"),
    ("result.none.x == 1", "null has no 'x'"),
    ("result.rows", "gives a number"),
    ("result.rows and true", "a number where true or false"),
    ("not result.name", "a text where true or false"),
    ("result.name > 1", "a text where a number"),
    ("result.name + 'x' == 'x'", "a text where a number"),
    ("result.yes < 1", "true or false where a number"),
    ("result.checks == []", "a list cannot be compared as a whole"),
    ("result == null", "an object cannot be compared as a whole"),
    ("result in [1]", "an object cannot be looked for"),
    ("1 in 5", "a number where a list"),
    ("1 in 'text'", "a number where a text"),
    ("1 in result", "a number where a text"),
    ("1 / 0 == 1", "division by zero"),
    ("1e308 * 10 > 1 // 0.0", "zero"),
    ("9223372036854775807 * 2 > 1", "beyond 2**63"),
    ("result.huge > 1", "beyond 2**63"),
    ("len(1) == 1", "a number has no length"),
    ("max([]) == 1", "empty list"),
    ("any([1])", "a number where true or false"),
    ("like(1, 'x')", "a number where a text"),
    ("result[result] == 1", "an object has no an object"),
    ("result.checks[true] == 1", "a list has no True"),
    ("result[result.huge] == 1", "an object has no number"),
]


@pytest.mark.parametrize(("text", "problem"), FAILING)
def test_what_has_no_answer(text: str, problem: str) -> None:
    with pytest.raises(ConditionFailed, match=problem.replace("*", r"\*")):
        parse_condition(text).holds(FACTS)


REFUSED = [
    ("", "at character 1: invalid syntax"),
    ("result.rows <", "at character 14: invalid syntax"),
    ("a b", "invalid syntax"),
    ("rows > 1", "at character 1: unknown name 'rows'"),
    ("true and rows > 1", "at character 10: unknown name 'rows'"),
    ("'ä' == rows", "at character 8: unknown name 'rows'"),
    ("execution.speed > 1", "execution has no 'speed'"),
    ("task['speed'] == 1", "task has no 'speed'"),
    ("open('x') == 1", "unknown function 'open'"),
    ("result.get('x') == 1", "only functions can be called"),
    ("len(result, result) == 1", "len takes 1"),
    ("default(result.a) == 1", "default takes 2"),
    ("len(value=result) == 1", "len takes 1"),
    ("len(*result) == 1", "Starred"),
    ("has(result)", "has looks for"),
    ("result.__class__ == 1", "underscore"),
    ("result._x == 1", "underscore"),
    ("2 ** 9 == 1", "the operator Pow"),
    ("1 << 9 == 1", "the operator LShift"),
    ("~1 == 1", "the operator Invert"),
    ("+1 == 1", "the operator UAdd"),
    ("result is null", "the operator Is"),
    ("'a' 'b' == f'{task.name}'", "JoinedStr"),
    ("lambda: 1", "Lambda"),
    ("[x for x in result]", "ListComp"),
    ("{1: 2}", "Dict"),
    ("{1}", "Set"),
    ("(x := 1)", "NamedExpr"),
    ("result[1:2] == 1", "Slice"),
    ("any(x for x in result for y in result)", "GeneratorExp"),
    ("any(x for x, y in result)", "GeneratorExp"),
    ("any(task for task in result)", "cannot name an entry"),
    ("any(len for len in result)", "cannot name an entry"),
    ("any(_x for _x in result)", "cannot name an entry"),
    ("any(x for x in result) and x", "unknown name 'x'"),
    ("b'x' == 1", "not part of the language"),
    ("1j == 1", "not part of the language"),
    ("... == 1", "not part of the language"),
    ("9223372036854775809 == 1", "above 2"),
    ("'\\d' == 1", "at character 2: a backslash"),
    ("1if true else 2", "decimal literal"),
    ("\0", "not an expression|null byte"),
    ("x = 1", "invalid syntax"),
    ("await x", "await|Await"),
    ("yield", "invalid syntax|yield"),
    ("-" * 900 + "1", "levels deep|not an expression"),
    ("(" * 400, "too many nested|not an expression|never closed"),
    ("result" + ".x" * 30, "levels deep"),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED)
def test_what_is_refused_when_it_is_saved(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        parse_condition(text, "events[0].condition")
    assert str(caught.value).startswith("events[0].condition: ")


def test_a_condition_has_a_length() -> None:
    assert parse_condition("true" + " " * (MAX_CONDITION - 4)).holds(FACTS)
    with pytest.raises(TooLarge, match="1001 characters"):
        parse_condition(" " * (MAX_CONDITION - 3) + "true")


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_no_name_of_the_language_hides_another(name: str) -> None:
    assert name not in NAMES


# -- bounds

NAUGHTY: dict[str, Any] = {
    "result": {
        "a": "a" * 250_000,
        "b": "a" * 100_000 + "b",
        "list": list(range(15_000)),
        "texts": ["a" * 100_000 + str(n) for n in range(2)] * 1_000,
        "same": ["a" * 250_000] * 30_000,
        "deep": {"x": {"x": {"x": 1}}},
        "huge": 10**4_000,
    },
    "input": {},
    "execution": FACTS["execution"],
    "task": FACTS["task"],
    "history": FACTS["history"],
}

EXPENSIVE = [
    "any(any(x == y for y in result.list) for x in result.list)",
    "sum(sum(sum(1 for z in result.list) for y in result.list) for x in result.list) > 1",
    "any(result.b in x for x in result.same)",
    "any(x == result.a for x in result.same)",
    "any(x > result.b for x in result.texts)",
    "all(lower(x) != result.b for x in result.same)",
    "all(like(x, 'a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b') or true for x in result.same)",
    "result.a in result.same",
    "any(x == x for x in result.same) or any(len(x) == 1 for x in result.same)",
    "any(result.huge > 1 for x in result.list)",
    "all(result.huge == result.huge for x in result.list)",
    " and ".join(["result.b in result.a or true"] * 30),
    "like(result.a, '" + "*a" * 400 + "b')",
    "starts_with(result.a, result.b) or " + " or ".join(["lower(lower(result.a)) == result.b"] * 20),
]


@pytest.mark.parametrize("text", EXPENSIVE)
def test_what_is_expensive_ends_within_its_steps(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluations: list[Evaluation] = []
    made = Evaluation.__init__

    def remember(self: Evaluation, facts: Any) -> None:
        made(self, facts)
        evaluations.append(self)

    monkeypatch.setattr(Evaluation, "__init__", remember)
    try:
        answer = parse_condition(text).holds(NAUGHTY)
    except ConditionFailed:
        answer = False
    assert answer in (True, False)
    assert evaluations[0]._steps >= -(MAX_STEPS * 2), "the last step may go beyond the bound, by one text or list"


LEAVES = st.sampled_from(
    "result result.a result.b result.list result.texts result.deep.x result.huge task.tags execution.duration true null "
    "history.last 1 2.5 -7 9223372036854775807 'a' '*a*' x result.no [] [1,'a'] result['list'][3]".split()
)


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = ["and", "or", "==", "!=", "<", ">=", "in", "not in", "+", "-", "*", "/", "//", "%", "**", "<<", "is"]
    functions = [*sorted(FUNCTIONS), "open", "eval", "getattr"]
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(operators), inner),
        st.builds("{}({})".format, st.sampled_from(functions), inner),
        st.builds("{}({}, {})".format, st.sampled_from(functions), inner, inner),
        st.builds("not {}".format, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds(
            "{}({} for x in {} if {})".format, st.sampled_from(["any", "all", "sum", "len"]), inner, inner, inner
        ),
        st.builds("{}({} for x in {})".format, st.sampled_from(["any", "sum", "max"]), inner, inner),
        st.builds("{}.{}".format, inner, st.sampled_from(["a", "__class__", "append", "format", "mro"])),
    )


EXPRESSIONS = st.recursive(LEAVES, _grow, max_leaves=12)


@given(st.one_of(EXPRESSIONS, st.text(max_size=60), st.text("()[]{}'\"\\.,:=<>+-*/% abx019\n", max_size=60)))
@example("().__class__.__mro__")
@example("''.join(task.tags) == 'x'")
@example("any(x.__globals__ for x in [has])")
def test_whatever_is_written_is_refused_fails_or_answers_and_never_touches_an_object(text: str) -> None:
    try:
        condition = parse_condition(text)
    except InvalidRequest:
        return
    for node in ast.walk(condition.tree):
        assert not (isinstance(node, ast.Attribute) and node.attr.startswith("_"))
    try:
        answer = condition.holds(NAUGHTY)
    except ConditionFailed as error:
        problem = str(error)
    else:
        problem = str(answer)
    assert len(problem) < 300


def test_the_walk_never_asks_an_object_for_an_attribute_that_the_condition_names() -> None:
    class Trap(dict[str, Any]):
        def __getattribute__(self, name: str) -> Any:
            assert name != "secret"
            return super().__getattribute__(name)

    facts = {**FACTS, "result": Trap(rows=1)}
    assert parse_condition("not has(result.secret) and result.rows == 1").holds(facts)


def test_every_name_of_the_language_has_a_meaning() -> None:
    assert set(evaluation._RULES) >= {ast.Name, ast.Constant, ast.Call}
    assert set(SHAPE) < set(NAMES)
