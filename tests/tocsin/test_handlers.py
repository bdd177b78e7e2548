"""The built-in task types against real programs and a real server, and the loading of modules."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.executor_core import ABANDON_SECONDS
from actors.handling import logbook
from actors.handling.catalogue import DECLARED, Catalogue, TaskType
from actors.handling.logbook import MAX_LOG_LINES, TRUNCATED
from actors.keeper_messages import AttemptEnd, Interrupt
from actors.model.lifecycle import State
from actors.model.policy import Policies
from runtime.clock import MILLISECOND, Micros
from runtime.errors import InvalidRequest
from runtime.world import RealWorld
from tests.actors.executor_kit import Keeper, running, start
from tocsin.handlers import command, register_builtins
from tocsin.loading import load, load_catalogue


def builtin(name: str) -> TaskType:
    catalogue = Catalogue()
    register_builtins(catalogue, reachable=[ip_network("127.0.0.0/8")])
    entry = catalogue.get(name)
    assert entry is not None
    return entry


async def run(name: str, parameters: dict[str, Any], **fields: Any) -> tuple[AttemptEnd, Keeper]:
    """Run an attempt of a built-in type to its end."""
    builtin(name).check_parameters(parameters)
    async with running(builtin(name), world=RealWorld()) as (executor, keeper):
        await executor.mailbox.tell(start(type=name, parameters=json.dumps(parameters), **fields))
        end = await keeper.end()
    return end, keeper


def result_of(end: AttemptEnd) -> dict[str, Any]:
    assert end.failure is None, end.failure
    found: dict[str, Any] = json.loads(end.result or "")
    return found


# -- command


async def test_a_command_runs_and_its_output_is_kept() -> None:
    script = "import sys; print('out', sys.argv[1], flush=True); print('err', file=sys.stderr)"
    end, keeper = await run("command", {"argv": [sys.executable, "-c", script, "a b; $HOME"]})
    found = result_of(end)
    assert (found["exit_code"], found["truncated"]) == (0, False)
    assert sorted(found["output"].splitlines()) == ["err", "out a b; $HOME"]
    assert sorted(keeper.lines) == ["err", "out a b; $HOME"]


async def test_a_command_has_a_chosen_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_TOKEN", "secret")
    monkeypatch.setenv("TZ", "Europe/Vienna")
    end, _ = await run("command", {"argv": ["env"], "env": {"GREETING": "servus"}}, fence=7, attempt=2)
    found = dict(line.split("=", 1) for line in result_of(end)["output"].splitlines())
    assert {name: found[name] for name in found if name.startswith(("TOCSIN", "GREE", "TZ"))} == {
        "GREETING": "servus",
        "TZ": "Europe/Vienna",
        "TOCSIN_TASK": "t1",
        "TOCSIN_EXECUTION": "e1",
        "TOCSIN_ATTEMPT": "2",
        "TOCSIN_FENCE": "7",
        "TOCSIN_NOMINAL": "2026-01-01T00:00:00Z",
    }
    assert found["PATH"] == os.environ["PATH"]


async def test_a_command_reads_what_it_is_given(tmp_path: Path) -> None:
    text = "line\n" * 100_000
    end, _ = await run("command", {"argv": ["sh", "-c", "pwd; wc -c"], "stdin": text, "cwd": str(tmp_path)})
    assert result_of(end)["output"].split() == [str(tmp_path), "500000"]


async def test_a_command_that_does_not_read_is_not_waited_for() -> None:
    end, _ = await run("command", {"argv": ["true"], "stdin": "x" * 1_000_000})
    assert result_of(end)["exit_code"] == 0


async def test_a_command_without_input_has_none() -> None:
    end, _ = await run("command", {"argv": ["cat"]})
    assert result_of(end)["output"] == ""


async def test_a_shell_only_when_asked() -> None:
    end, _ = await run("command", {"argv": ["echo $((1+1)) $1", "two"], "shell": True})
    assert result_of(end)["output"] == "2 two\n"
    end, _ = await run("command", {"argv": ["echo", "$((1+1))"]})
    assert result_of(end)["output"] == "$((1+1))\n"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"argv": ["sh", "-c", "echo first; echo last; exit 3"]}, "exit code 3\nfirst\nlast"),
        ({"argv": ["sh", "-c", "kill -9 $$"]}, "signal 9 (SIGKILL)"),
        ({"argv": ["true"], "cwd": "/no/such/folder"}, "/no/such/folder"),
        ({"argv": ["true"], "ok_codes": [1]}, "exit code 0"),
    ],
)
async def test_a_command_that_fails(parameters: dict[str, Any], message: str) -> None:
    end, _ = await run("command", parameters)
    assert end.failure is not None
    assert (end.state, end.failure.type) == (State.FAILED, "CommandFailed")
    assert message in end.failure.message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"argv": ["no-such-program"], "env": {"PATH": "/bin"}},
            "there is no program 'no-such-program' in the PATH /bin",
        ),
        ({"argv": ["/no/such/program"]}, "there is no program '/no/such/program'"),
        ({"argv": ["./script"], "cwd": "{tmp}"}, "there is no program './script' in {tmp}"),
        ({"argv": ["{tmp}"]}, "'{tmp}' is a directory, not a program"),
        ({"argv": ["{tmp}/data"]}, "'{tmp}/data' may not be executed"),
    ],
)
async def test_a_program_that_is_not_there_is_named(parameters: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no program")
    given = json.loads(json.dumps(parameters).replace("{tmp}", str(tmp_path)))
    end, _ = await run("command", given)
    assert end.failure is not None
    assert (end.state, end.failure.type) == (State.FAILED, "NoSuchProgram")
    assert end.failure.message == message.replace("{tmp}", str(tmp_path))


async def test_a_program_is_found_from_the_folder_it_runs_in(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\necho here\n")
    (tmp_path / "script").chmod(0o755)
    end, _ = await run("command", {"argv": ["./script"], "cwd": str(tmp_path)})
    assert result_of(end)["output"] == "here\n"


async def test_other_codes_can_be_fine() -> None:
    end, _ = await run("command", {"argv": ["sh", "-c", "exit 3"], "ok_codes": [0, 3]})
    assert result_of(end)["exit_code"] == 3


async def test_output_without_end_is_cut_and_what_is_no_text_replaced() -> None:
    script = "import sys; sys.stdout.buffer.write(b'\\0\\xff\\n' * 200_000)"
    end, keeper = await run("command", {"argv": [sys.executable, "-c", script]})
    found = result_of(end)
    assert found["truncated"] is True
    assert set(found["output"]) == {"\ufffd", "\n"}
    assert len(keeper.lines) == MAX_LOG_LINES + 1
    assert keeper.lines[-1] == TRUNCATED


def alive(pid: int) -> bool:
    """Whether a process runs; one that was ended and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> bool:
    """Wait until a process has ended."""
    with trio.move_on_after(10):
        while alive(pid):  # noqa: ASYNC110
            await trio.sleep(0.01)
    return not alive(pid)


TREE = "trap '' TERM; sleep 1000 & echo $!; echo $$; wait; sleep 1000"


async def test_a_cancelled_command_goes_with_all_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "KILL_SECONDS", 0.1)
    async with running(builtin("command"), world=RealWorld()) as (executor, keeper):
        await executor.mailbox.tell(start(type="command", parameters=json.dumps({"argv": ["sh", "-c", TREE]})))
        lines = await keeper.until(lambda keeper: keeper.lines[1:] and keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled"))
        end = await keeper.end()
        assert (end.state, end.reason) == (State.CANCELLED, "cancelled")
        assert [await gone(int(line)) for line in lines] == [True, True]


LAST_WORDS = """
import signal, sys, time
def end(*_):
    sys.stdout.write("x" * 8_000 + "\\n" * 50_000)
    sys.stdout.write("last words\\n")
    sys.stdout.flush()
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("reason", ["cancelled", "drain"])
async def test_what_a_command_says_while_it_ends_is_kept(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logbook, "MAX_LOG_LINES", 1_000_000)
    argv = [sys.executable, "-c", LAST_WORDS]
    async with running(builtin("command"), world=RealWorld()) as (executor, keeper):
        await executor.mailbox.tell(start(type="command", parameters=json.dumps({"argv": argv})))
        await keeper.until(lambda keeper: "ready" in keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, reason))
        assert (await keeper.end()).reason == reason
        assert keeper.lines[-1] == "last words"


async def test_an_escaped_child_that_holds_the_output_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LAST_OUTPUT_SECONDS", 0.1)
    argv = ["sh", "-c", "setsid sleep 1000 & echo $!; wait"]
    async with running(builtin("command"), world=RealWorld()) as (executor, keeper):
        await executor.mailbox.tell(start(type="command", parameters=json.dumps({"argv": argv})))
        [line] = await keeper.until(lambda keeper: keeper.lines)
        await executor.mailbox.tell(Interrupt("e1", 1, "cancelled"))
        assert (await keeper.end()).holds_slot is False
    os.kill(int(line), signal.SIGKILL)


async def test_a_command_that_times_out_is_ended() -> None:
    end, _ = await run("command", {"argv": ["sleep", "1000"]}, policies=Policies(timeout=Micros(50 * MILLISECOND)))
    assert (end.state, end.reason) == (State.TIMED_OUT, "timeout")


def test_a_command_is_killed_before_it_is_abandoned() -> None:
    assert command.KILL_SECONDS + command.LAST_OUTPUT_SECONDS < ABANDON_SECONDS


async def test_what_a_command_leaves_behind_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LAST_OUTPUT_SECONDS", 0.1)
    end, _ = await run("command", {"argv": ["sh", "-c", "sleep 1000 & echo $!"]})
    left = int(result_of(end)["output"])
    assert alive(left)
    os.kill(left, signal.SIGKILL)


NODE = """
import json, sys, trio
from runtime.world import RealWorld
from tests.actors.executor_kit import running, start
from tests.tocsin.test_handlers import builtin

async def main():
    async with running(builtin("command"), world=RealWorld()) as (executor, keeper):
        await executor.mailbox.tell(start(type="command", parameters=json.dumps({"argv": ["sh", "-c", sys.argv[1]]})))
        lines = await keeper.until(lambda keeper: keeper.lines[1:] and keeper.lines)
        sys.stdout.write(' '.join(lines) + '\\n')
        sys.stdout.flush()
        await trio.sleep_forever()

trio.run(main)
"""


async def test_commands_die_with_the_node_even_when_it_is_killed() -> None:
    node = await trio.lowlevel.open_process([sys.executable, "-c", NODE, TREE], stdout=-1)
    assert node.stdout is not None
    told = b""
    try:
        with trio.fail_after(60):
            while not told.endswith(b"\n"):
                told += await node.stdout.receive_some()
        pids = [int(word) for word in told.split()]
        before = [alive(pid) for pid in pids]
    finally:
        node.kill()
        await node.wait()
    assert before == [True, True]
    assert [await gone(pid) for pid in pids] == [True, True]
    await node.stdout.aclose()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "missing parameter 'argv'"),
        ({"argv": "ls -l"}, "'argv' must be list[str], not 'ls -l'"),
        ({"argv": []}, "must begin with a program"),
        ({"argv": [""]}, "must begin with a program"),
        ({"argv": ["a\0b"]}, "zero character"),
        ({"argv": ["a"], "env": {"A=B": "1"}}, "'A=B'"),
        ({"argv": ["a"], "env": {"A": 1}}, "'env'"),
        ({"argv": ["a"], "ok_codes": [True]}, "'ok_codes'"),
        ({"argv": ["a"], "timeout": 1}, "unknown parameter 'timeout'"),
    ],
)
def test_a_wrong_command_is_refused_when_it_is_saved(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        builtin("command").check_parameters(parameters)
    assert message in str(caught.value)


# -- http


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/hang":
            self.server.hang.wait(30)  # type: ignore[attr-defined]
            return
        size = 100_000 if self.path == "/large" else 5
        self.send_response(int(self.path[1:]) if self.path[1:].isdigit() else 200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"x" * size)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        text = json.dumps({"body": body.decode(), "header": self.headers["X-Test"]}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            return


@pytest.fixture
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    made.hang = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.hang.set()  # type: ignore[attr-defined]
    made.shutdown()
    made.server_close()
    thread.join()


async def test_a_good_answer(server: str) -> None:
    end, keeper = await run("http", {"url": f"{server}/ok"})
    found = result_of(end)
    assert found.pop("elapsed_ms") >= 0
    assert found == {"status": 200, "body": "xxxxx"}
    assert len(keeper.lines) == 1


async def test_a_request_with_everything(server: str) -> None:
    parameters = {"url": f"{server}/", "method": "POST", "headers": {"X-Test": "1"}, "body": "é", "expect": [201]}
    end, _ = await run("http", parameters)
    assert json.loads(result_of(end)["body"]) == {"body": "é", "header": "1"}


async def test_the_beginning_of_a_large_body_is_kept(server: str) -> None:
    end, _ = await run("http", {"url": f"{server}/large"})
    assert len(result_of(end)["body"]) == 16 * 1024


@pytest.mark.parametrize(
    ("path", "more", "message"),
    [
        ("/503", {}, "answered 503, expected 2xx"),
        ("/301", {}, "answered 301"),
        ("/200", {"expect": [201, 204]}, "answered 200, expected [201, 204]"),
        ("/hang", {"timeout_seconds": 0.05}, "within 0.05 s"),
    ],
)
async def test_a_bad_answer(server: str, path: str, more: dict[str, Any], message: str) -> None:
    end, _ = await run("http", {"url": server + path, **more})
    assert end.failure is not None
    assert (end.state, end.failure.type) == (State.FAILED, "HttpFailed")
    assert message in end.failure.message


async def test_nobody_answers() -> None:
    end, _ = await run("http", {"url": "http://127.0.0.1:9/"})
    assert end.failure is not None
    assert (end.failure.type, "ConnectError" in end.failure.message) == ("HttpFailed", True)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "missing parameter 'url'"),
        ({"url": "example.org"}, "'example.org'"),
        ({"url": "file:///etc/passwd"}, "must begin with http"),
        ({"url": "http://"}, "name a host"),
        ({"url": "http://[::1"}, "is no URL"),
        ({"url": "http://a", "method": "FETCH"}, "'FETCH'"),
        ({"url": "http://a", "expect": "ok"}, "'ok'"),
        ({"url": "http://a", "expect": [20]}, "[20]"),
        ({"url": "http://a", "expect": []}, "[]"),
        ({"url": "http://a", "timeout_seconds": 0}, "above 0"),
        ({"url": "http://a", "timeout_seconds": "10"}, "'timeout_seconds' must be float"),
        ({"url": "http://a", "headers": {"a": "é"}}, "ASCII"),
    ],
)
def test_a_wrong_request_is_refused_when_it_is_saved(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        builtin("http").check_parameters(parameters)
    assert message in str(caught.value)


# -- loading


MODULE = """
from actors.handling import logbook
from actors.handling.catalogue import DECLARED, task_type
from {neighbour} import ANSWER

def {name}(ctx):
    return ANSWER

DECLARED.register(task_type("{name}", {name}, isolation="process"))
"""


async def test_a_file_is_loaded_once_and_its_handler_found_by_a_process(tmp_path: Path) -> None:
    (tmp_path / "loading_neighbour.py").write_text("ANSWER = 42")
    path = tmp_path / "my-tasks.py"
    path.write_text(MODULE.format(neighbour="loading_neighbour", name="loaded_from_file"))
    catalogue = load_catalogue([str(path)])
    load(str(path))
    assert {"command", "http", "loaded_from_file"} <= set(catalogue.names())
    entry = DECLARED.get("loaded_from_file")
    assert entry is not None
    assert entry.source == f"file:{path}"
    async with running(entry, world=RealWorld()) as (executor, keeper):
        await executor.mailbox.tell(start(type="loaded_from_file"))
        assert (await keeper.end()).result == "42"


def test_a_module_is_loaded_by_its_name() -> None:
    load("tests.actors.process_handlers")
    assert DECLARED.get("everything") is not None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "a module or a Python file"),
        ("no/such/file.py", "there is no file 'no/such/file.py'"),
        ("no_such_module", "No module named 'no_such_module'"),
        ("a b", "neither a Python file"),
        ("{tmp}/broken.py", "SyntaxError"),
        ("{tmp}/raising.py", "ValueError: at import"),
        ("{tmp}/leaving.py", "SystemExit"),
    ],
)
def test_what_cannot_be_loaded_is_named(tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "raising.py").write_text("raise ValueError('at import')")
    (tmp_path / "leaving.py").write_text("raise SystemExit(2)")
    with pytest.raises(InvalidRequest) as caught:
        load(target.format(tmp=tmp_path))
    assert message in str(caught.value)
