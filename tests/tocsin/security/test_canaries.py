"""No secret that a node is given comes out of it: each is a text that occurs nowhere else, and all that comes out is searched.

There are two kinds. Of the node's own secrets (tokens, cookies, passwords, keys, URLs with keys in them) nothing may be found
anywhere but in the file of the first token. What people write into definitions (headers, environments, parameters) is told to
those who read the definition, and stands in the store; logs, messages, errors, metrics and the audit log have none of it.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from tests.e2e.harness import NodeProcess, tocsin
from tests.tocsin.access.kit import EXAMPLES, Person, filled
from tocsin.cli.main import run
from tocsin.operations.table import BY_NAME, OPERATIONS

DEFINITIONS = {"show_task", "show_definition", "list_tasks", "find_task", "export", "queue_data", "queue_list", "plan"}
"""Operations whose answers hold definitions."""

TASKS = """
import tocsin

@tocsin.task("crashes")
def crashes(ctx, *, password: str) -> None:
    kept = password
    raise ValueError(f"{len(kept)} characters are too few")

@tocsin.task("ends badly", isolation="process")
def ends_badly(ctx, *, password: str) -> None:
    import os
    kept = password
    os._exit(3)
"""


class Canaries(dict[str, str]):
    """Name -> a text that is nowhere else; made when it is asked for."""

    def __missing__(self, name: str) -> str:
        self[name] = f"canary{secrets.token_hex(12)}"
        return self[name]

    def found_in(self, text: str) -> list[str]:
        return [name for name, canary in self.items() if canary in text]


@attrs.define
class Outputs:
    """All that came out, by where."""

    texts: dict[str, str] = attrs.field(factory=dict)
    definitions: dict[str, str] = attrs.field(factory=dict)

    def take(self, where: str, answer: httpx.Response) -> None:
        self.texts[where] = f"{answer.headers}\n{answer.text}"

    def leaks(self, own: Canaries, given: Canaries) -> list[str]:
        everything = self.texts | self.definitions
        found = [f"{name} in {where}" for where, text in everything.items() for name in own.found_in(text)]
        return found + [f"{name} in {where}" for where, text in self.texts.items() for name in given.found_in(text)]


@pytest.fixture
def rude_server() -> Iterator[tuple[int, Canaries]]:
    """A server that fails, and sets a cookie."""
    told = Canaries()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(500)
            self.send_header("Set-Cookie", f"session={told['cookie of a server']}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1], told
    server.shutdown()
    thread.join()
    server.server_close()


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def definitions(port: int, given: Canaries) -> list[dict[str, Any]]:
    """Tasks that fail in all ways, with secrets in all places."""
    gone, soon = closed_port(), {"trigger": {"after": "1h"}, "policies": {"retry": {"maxRetries": 0}}}
    url = f"http://ada:{given['password in a URL']}@127.0.0.1:{{}}/x?key={given['key in a URL']}"
    headers = {"Authorization": f"Bearer {given['header of a task']}"}
    hook = {
        "kind": "webhook",
        "url": f"http://127.0.0.1:{port}/{given['path of a hook']}?key={given['key of a hook']}",
        "headers": {"X-Secret": given["header of a hook"]},
        "body": f"{given['body of a hook']} {{task.name}}",
    }
    events = [
        {
            "name": "told",
            "on": ["FAILED", "CRASHED", "TIMED_OUT"],
            "actions": [hook, {"kind": "email", "to": ["ops@example.com"]}],
        }
    ]
    env = {"PASSWORD": given["environment of a command"]}
    script = {
        "argv": ["/bin/sh", "-c", "env | grep -c . >&2; exit 3"],
        "env": env,
        "stdin": given["input of a command"],
    }
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("http 500", "http", {"url": url.format(port), "headers": headers}),
        ("http gone", "http", {"url": url.format(gone), "headers": headers}),
        ("http refused", "http", {"url": url.replace("127.0.0.1", "10.0.0.1").format(port)}),
        ("http slow", "http", {"url": url.format(port), "timeout_seconds": 0.000001}),
        ("command", "command", script),
        ("no program", "command", {"argv": ["/nowhere/program"], "env": env}),
        ("crash", "crashes", {"password": given["parameter"]}),
        ("death", "ends badly", {"password": given["parameter of a process"]}),
    ]
    tasks = [{"name": name, "taskType": kind, "parameters": parameters, **soon} for name, kind, parameters in kinds]
    return [task | {"events": events} if task["name"] in ("http 500", "crash") else task for task in tasks]


def test_no_secret_comes_out_of_a_node(
    tmp_path: Path,
    rude_server: tuple[int, Canaries],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    port, told = rude_server
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path / "data"))
    own, given, outputs = Canaries(), Canaries(), Outputs()
    data, password, module = tmp_path / "data", tmp_path / "mail-password", tmp_path / "failing.py"
    data.mkdir(mode=0o700)
    (data / "token").write_text(own["first token"])
    (data / "token").chmod(0o600)
    password.write_text(own["password of the mail server"])
    password.chmod(0o600)
    module.write_text(TASKS)
    (tmp_path / "tocsin.toml").write_text(
        f'[mail]\nserver = "127.0.0.1:{closed_port()}"\nuser = "tocsin"\npassword_file = "{password}"\n'
        '[webhooks]\nallowed = ["127.0.0.0/8"]\n[http]\nallowed = ["127.0.0.0/8"]\n'
        f'[canary]\nenabled = true\ndead_man_url = "http://127.0.0.1:{closed_port()}/{own["key of the dead man"]}"\n'
    )
    node = NodeProcess(data, (str(module),), arguments=("--verbose",))
    try:
        with node.up():
            url = json.loads((data / "node.json").read_text())["url"]
        root = Person(url, own["first token"])
        made = work(root, port, own, given, outputs)
        ask_everything(root, made, outputs)
        ask_wrongly(root, own, outputs)
        use_the_command_line(data, outputs, capfd)
        assert node.terminate() == 0
    finally:
        node.clean_up()
    outputs.texts["the log"] = node.log_path.read_text("utf-8", "replace")
    assert "too few" in outputs.texts["the log"]
    for path in (path for path in data.rglob("*") if path.is_file() and path != data / "token"):
        # The store holds definitions; what was not told to it is not in it.
        outputs.definitions[f"the file {path.name}"] = path.read_bytes().decode("latin-1")
    given.update(told)
    assert "\n".join(outputs.leaks(own, given)) == ""
    assert given.found_in(outputs.definitions["show_definition"]), "who reads a definition sees it"
    assert len(own) == 7 and len(given) >= 10 and told


def work(root: Person, port: int, own: Canaries, given: Canaries, outputs: Outputs) -> Mapping[str, str]:
    """Log in, make tokens and tasks, have all of them run and fail."""
    token = root.make("/api/tokens", {"name": "a token", "role": "administrator"})
    own["made token"] = token["token"].split("_", 2)[2]
    begun = root.send("POST", "/api/session")
    own["cookie"] = begun.cookies["tocsin_session"].split("_", 2)[2]
    own["proof of a session"] = begun.json()["csrf"]
    runs, tasks = [], []
    for body in definitions(port, given):
        task = root.send("POST", "/api/tasks", json=body)
        assert task.status_code == 201, task.text
        tasks.append(task.json()["itemId"])
        edited = root.send(
            "PUT", f"/api/tasks/{tasks[-1]}", json={"parameters": {**body["parameters"]}, "tags": ["edited"]}
        )
        assert edited.is_success, edited.text
        runs.append(root.make(f"/api/tasks/{tasks[-1]}/run", {})["id"])
    for run_id in runs:
        outputs.take(f"execution {run_id}", ended(root, run_id))
        outputs.take(f"logs of {run_id}", root.send("GET", f"/api/executions/{run_id}/logs"))
    for task in tasks:
        for part in ("why", "outcomes", "deliveries", "executions"):
            outputs.take(f"{part} of {task}", root.send("GET", f"/api/tasks/{task}/{part}"))
        outputs.definitions["show_definition"] = root.send("GET", f"/api/tasks/{tasks[0]}/definition").text
    deliveries = root.send("GET", f"/api/tasks/{tasks[0]}/deliveries").json()["list"]
    assert deliveries, "hooks were tried"
    return {"task": tasks[0], "execution": runs[0], "token": token["id"], "calendar": "none", "number": "1"}


def ended(root: Person, run_id: str) -> httpx.Response:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = root.send("GET", f"/api/executions/{run_id}")
        if answer.json()["state"] in ("FAILED", "CRASHED", "TIMED_OUT"):
            return answer
        time.sleep(0.05)
    raise AssertionError(answer.text)


def ask_everything(root: Person, made: Mapping[str, str], outputs: Outputs) -> None:
    """Every operation that reads, as the administrator."""
    for operation in OPERATIONS:
        if operation.method == "GET" and operation.name in EXAMPLES:
            answer = root.ask(operation, filled(EXAMPLES[operation.name], made))
            if operation.name in DEFINITIONS:
                outputs.definitions[operation.name] = answer.text
            else:
                outputs.take(operation.name, answer)
    for path in ("/metrics", "/api/openapi.json", "/api/docs"):
        outputs.take(path, root.send("GET", path))


def ask_wrongly(root: Person, own: Canaries, outputs: Outputs) -> None:
    """Requests that are refused, with secrets where they do not belong."""
    own["wrong token"] = f"toc_0123456789ab_{'w' * 30}{secrets.token_hex(6)}"
    for number, person in enumerate(
        (Person(root.url, own["wrong token"]), Person(root.url, own["wrong token"] + "x"), root)
    ):
        for path in ("/api/tasks", "/api/tasks/nowhere", "/nowhere", "/api/session", "/metrics"):
            for method in ("GET", "POST", "DELETE", "PATCH"):
                if person is not root or (method, path) not in (("POST", "/api/session"), ("GET", "/api/tasks")):
                    outputs.take(f"{number} {method} {path}", person.send(method, path))
    cookie = {"Cookie": f"tocsin_session={own['wrong token']}", "Tocsin-Csrf": own["proof of a session"]}
    outputs.take("a wrong cookie", Person(root.url, None).send("POST", "/api/tasks", json={}, headers=cookie))
    outputs.take("a body that is no JSON", root.send("POST", "/api/tasks", content=b"{"))
    outputs.take("too large", root.send("POST", "/api/tasks", content=b" " * 3_000_000))


def use_the_command_line(data: Path, outputs: Outputs, capfd: pytest.CaptureFixture[str]) -> None:
    """What people look at."""
    for line in (
        "doctor", "doctor --json", "config", "config --json", "status", "audit list --json", "audit verify", "token list",
        "top --once", "top --once --json", "node list", "version",
    ):  # fmt: skip
        run(line.split())
        said = capfd.readouterr()
        outputs.texts[f"tocsin {line}"] = said.out + said.err
    done = tocsin(data, "up", "--data", str(data), "--listen", "127.0.0.1:0", "--verbose", expect=None)
    assert done.returncode != 0
    outputs.texts["a second node"] = done.stdout + done.stderr
    run(["export"])
    outputs.definitions["tocsin export"] = capfd.readouterr().out


# -- settings of a cluster, which cannot be reached


def test_no_secret_of_a_cluster_comes_out_of_what_cannot_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    own = Canaries()
    for name in ("cluster-key", "coordination-password"):
        (tmp_path / name).write_text(f"tocsin:{own[name]}\n" if "password" in name else f"{own[name]}\n")
        (tmp_path / name).chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "TOCSIN_STORE_URL", f"postgresql://tocsin:{own['database password']}@127.0.0.1:{closed_port()}/tocsin"
    )
    monkeypatch.setenv("TOCSIN_AMQP_URL", f"amqp://tocsin:{own['broker password']}@127.0.0.1:{closed_port()}/")
    (tmp_path / "tocsin.toml").write_text(
        f'[amqp]\ntypes = ["reports.*"]\n[coordination]\nenabled = true\nservers = ["127.0.0.1:{closed_port()}"]\n'
        'credentials_file = "coordination-password"\n'
        '[cluster]\nkey_file = "cluster-key"\nlisten = "127.0.0.1:0"\n'
    )
    caplog.set_level("DEBUG")
    codes = [run(line.split()) for line in ("config", "config --json", "doctor", "doctor --json")]
    said = capfd.readouterr()
    text = said.out + said.err + caplog.text
    assert codes[:2] == [0, 0] and codes[2] != 0
    assert "store.url" in text and "tocsin" in text
    assert own.found_in(text) == []
    assert len(own) == 4


def test_a_url_with_a_password_is_shown_without_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    own = Canaries()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOCSIN_TRACEBACK", "1")
    monkeypatch.setenv("TOCSIN_TOKEN", own["token"])
    for url in (
        f"http://ada:{own['password']}@127.0.0.1:{closed_port()}",
        f"nothing://ada:{own['password']}@h",
        f"http://a:{own['password']}@[:",
    ):
        monkeypatch.setenv("TOCSIN_URL", url)
        for line in ("task list", "status", "task list --json"):
            assert run(line.split()) != 0
    said = capfd.readouterr()
    assert said.err and own.found_in(said.out + said.err) == []


def test_the_operations_of_definitions_are_there() -> None:
    assert set(BY_NAME) >= DEFINITIONS
