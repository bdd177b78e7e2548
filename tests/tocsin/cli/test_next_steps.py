"""Every refusal of the command line ends with what to type next."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime import errors
from runtime.errors import TocsinError
from tests.tocsin.cli.kit import Shell
from tocsin.cli.main import app, run
from tocsin.cli.next_steps import SAME, Typed, as_json_object, next_step, unknown_command, unknown_option
from tocsin.cli.tasks import _what
from tocsin.cli.typed import names_of, typed_by
from tocsin.operations.error_table import ERRORS, UNREACHABLE_EXIT


@pytest.mark.parametrize("error", [row.error for row in ERRORS])
def test_no_error_leaves_one_alone(error: type[TocsinError]) -> None:
    for typed in (Typed(("task", "show"), "a b"), Typed((), "")):
        step = next_step(error("something"), "something", typed)
        assert "tocsin " in step or "again" in step
        assert "{" not in step


@pytest.mark.parametrize(
    ("error", "message", "step"),
    [
        (errors.Conflict, "task x is SCHEDULED, only a CRASHED one can be resumed", "tocsin task activate 'my task'"),
        (errors.Conflict, "cannot retry an execution that is COMPLETED", "tocsin task run 'my task'"),
        (errors.Conflict, "there is another task with the name 'my task'", "tocsin task edit 'my task'"),
        (errors.NotFound, "'my task' has no execution yet", "tocsin task next 'my task'"),
        (errors.NotFound, "no node 'n9'; there are n1", "tocsin node list"),
        (errors.NotFound, "no calendar 'x'", "tocsin calendar list"),
        (errors.InvalidRequest, "missing parameter 'region'", "--params '{\"region\": ...}'"),
        (errors.InvalidRequest, "--every: '10' is no duration", "tocsin task show --help"),
        (errors.PeerUnreachable, "node-3 is dead", "tocsin node list"),
        (errors.StoreUnavailable, "no store", "tocsin doctor"),
    ],
)
def test_what_is_known_to_help_is_told(error: type[TocsinError], message: str, step: str) -> None:
    assert step in next_step(error(message), message, Typed(("task", "show"), "my task"))


@pytest.mark.parametrize(
    ("word", "names", "tasks", "meant"),
    [
        ("why", ["task", "node"], ["why", "list"], ("task", "why")),
        ("ls", ["list", "logs"], [], ("list",)),
        ("ls", ["task"], ["list"], ("task", "list")),
        ("rm", ["delete"], [], ("delete",)),
        ("tsak", ["task", "node"], [], ("task",)),
        ("qqq", ["task", "node"], ["why"], ()),
    ],
)
def test_what_is_called_otherwise_elsewhere_is_known(
    word: str, names: list[str], tasks: list[str], meant: tuple[str, ...]
) -> None:
    message, found = unknown_command(word, names, tasks)
    assert found == meant
    assert (" ".join(meant) in message, "did you mean" in message) == (True, bool(meant))


def test_every_word_of_others_stands_for_a_command_that_there_is() -> None:
    assert set(SAME.values()) <= set(names_of(app["task"]))


def test_options_that_others_have_are_known() -> None:
    names = ["--retries", "--retry-on", "--every", "--timezone", "--params", "--in", "--at", "--on", "--name"]
    assert "'--retries'" in unknown_option("--retry", names)
    assert "'--params'" in unknown_option("--param=x", names)
    assert "'--timezone'" in unknown_option("--timezon", names)
    assert "--in or --at" in unknown_option("--once", names)
    assert unknown_option("--qqqqq", names) == "Unknown option '--qqqqq'"
    assert "--retries" not in unknown_option("--retry", ["--json"])


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("region=eu", '{"region": "eu"}'),
        ("days=3", '{"days": 3}'),
        ("a=b=c", '{"a": "b=c"}'),
        ("region", None),
        ("{=}", None),
        ("", None),
    ],
)
def test_parameters_written_otherwise_are_shown_as_json(text: str, meant: str | None) -> None:
    assert as_json_object(text) == meant


def test_what_was_typed_is_found_in_the_tree() -> None:
    assert typed_by(app, ["task", "show", "--utc", "x"]) == Typed(("task", "show"), "x")
    assert typed_by(app, ["task", "shw", "x"]) == Typed(("task",), "shw")
    assert typed_by(app, []) == Typed((), "")


def test_the_command_line_tells_them(shell: Shell) -> None:
    code, _, err = shell("why", "x")
    assert (code, "Unknown command 'why'; did you mean 'task why'?" in err) == (2, True)
    assert "did you mean 'list'?" in shell("task", "ls")[2]
    assert "did you mean '--catch-up'?" in shell("task", "add", "x", "--catchup", "all", "--every", "1s")[2]
    assert "--in 5s" in shell("task", "add", "x", "--at", "in 5s", "--type", "greet")[2]
    err = shell("task", "add", "x", "--every", "1h", "--type", "greet", "--params", "region=eu")[2]
    assert """write --params '{"region": "eu"}'""" in err
    assert "try" not in shell("task", "show", "nothing", "--json")[2]


def test_tasks_whose_ids_begin_so_are_named(shell: Shell) -> None:
    ids = []
    for name in ("first", "second"):
        ids += [shell.json("task", "add", name, "--every", "1h", "--type", "greet")["itemId"]]
    for given in (ids[0][:3], ids[0][:8]):
        code, _, err = shell("task", "show", given)
        assert code == 5
        assert "is first" in err
        assert "is second" in err
    assert shell.json("task", "show", ids[0])["name"] == "first"


def test_a_run_that_cannot_be_retried_or_resumed_says_what_can(shell: Shell) -> None:
    shell("task", "add", "done", "--every", "1h", "--type", "greet")
    shell("task", "run", "done", "--follow")
    assert "try: tocsin task run done" in shell("task", "retry", "done")[2]
    shell("task", "pause", "done")
    code, _, err = shell("task", "resume", "done")
    assert (code, "tocsin task activate done" in err) == (6, True)


def test_the_beginning_of_an_execution_s_id_is_enough_to_ask_why(shell: Shell) -> None:
    shell("task", "add", "asked", "--every", "1h", "--type", "greet")
    shell("task", "run", "asked", "--follow")
    [row] = shell.json("task", "history", "asked")["list"]
    assert row["id"] in shell("task", "why", row["id"][:-2])[1]
    code, _, err = shell("task", "why", "00000000-00")
    assert (code, "no task" in err) == (5, True)


def test_one_word_with_a_space_is_no_program(shell: Shell) -> None:
    code, _, err = shell("task", "add", "x", "--every", "1h", "--", "echo hi")
    assert (code, "write -- echo hi, or -- sh -c 'echo hi'" in err) == (2, True)
    for argv in (("/opt/a program",), ("echo", "a b"), ("./a b",)):
        assert _what(None, argv, None)[1]["argv"] == list(argv)


def test_an_empty_ledger_says_so_and_a_cancelled_task_how_it_comes_back(shell: Shell) -> None:
    shell("task", "add", "new", "--every", "1h", "--type", "greet")
    assert "tocsin task next new" in shell("task", "history", "new", "--ledger")[1]
    assert "to begin anew: tocsin task activate new" in shell("task", "cancel", "new")[1]


def test_help_is_a_word_too(shell: Shell) -> None:
    assert shell("help", "task", "why")[1] == shell("task", "why", "--help")[1]


def test_a_development_cluster_beside_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("TOCSIN_DATA", "TOCSIN_URL"):
        monkeypatch.delenv(name, raising=False)
    assert run(["task", "list"]) == UNREACHABLE_EXIT
    assert "try: tocsin doctor" in capsys.readouterr().err
    (tmp_path / ".tocsin-cluster" / "node-2").mkdir(parents=True)
    (tmp_path / ".tocsin-cluster" / "node-2" / "node.json").write_text("{}")
    assert run(["task", "list"]) == UNREACHABLE_EXIT
    assert "try: TOCSIN_DATA=.tocsin-cluster/node-2 tocsin task list" in capsys.readouterr().err
