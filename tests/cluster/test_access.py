"""Who gets in, in a real cluster: a revocation on one node holds on all, and the nodes' own key is changed while they run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.cluster.harness import Cluster, cluster
from tests.e2e.harness import wait_for
from tests.tocsin.access.kit import Person
from tests.tocsin.channels.test_websocket import connected
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

TASKS = Path(__file__).with_name("memory_handlers.py")
NODES = ("n1", "n2", "n3")

SECONDS = 90.0
"""A bound against hanging; how soon it is, virtual time tells."""

REFUSED = "another cluster key"

NEXT_KEY = "the key that comes after the first one"

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres, zookeeper_server: EmbeddedZooKeeper
) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("access"), postgres_server, zookeeper_server, TASKS) as started:
        started.start()
        started.wait_balanced()
        yield started


@attrs.frozen
class At:
    """A node, as somebody with this token reaches it."""

    url: str
    token: str


def at(made: Cluster, name: str, token: str | None = None) -> At:
    data = made.nodes[name].data
    return At(json.loads((data / "node.json").read_text())["url"], token or (data / "token").read_text().strip())


def session(there: At) -> str:
    answer = Person(there.url, there.token).send("POST", "/api/session")
    assert answer.status_code == 200, answer.text
    return f"tocsin_session={SimpleCookie(answer.headers['set-cookie'])['tocsin_session'].value}"


@attrs.define
class Watched:
    """What is open at the nodes. `ends`: how each ended; `all_open`: so many as are expected are."""

    expected: int
    ends: dict[str, Any] = attrs.field(factory=dict)
    all_open: trio.Event = attrs.field(factory=trio.Event)
    _open: int = 0

    def opened(self) -> None:
        self._open += 1
        if self._open == self.expected:
            self.all_open.set()

    async def stream(self, name: str, there: At, headers: dict[str, str]) -> None:
        kind, url = "", f"{there.url}/api/events"
        async with httpx.AsyncClient(timeout=SECONDS) as client, client.stream("GET", url, headers=headers) as answer:
            assert answer.status_code == 200
            self.opened()
            async for line in answer.aiter_lines():
                kind = line.removeprefix("event: ") if line.startswith("event: ") else kind
        self.ends[name] = kind

    async def socket(self, name: str, there: At) -> None:
        async with connected(there) as socket:  # type: ignore[arg-type]
            self.opened()
            try:
                await socket.get_message()
            except ConnectionClosed as closed:
                self.ends[name] = closed.reason.code


async def test_a_revoked_token_ends_everywhere_what_it_has_begun(made: Cluster) -> None:
    root = at(made, "n1")
    token = await trio.to_thread.run_sync(lambda: Person(root.url, root.token).with_token(role="operator").token)
    assert token is not None
    places = {name: at(made, name, token) for name in NODES}
    cookie = await trio.to_thread.run_sync(session, places["n2"])
    watched, judge = Watched(9), at(made, "n3")
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            for name, there in places.items():
                nursery.start_soon(watched.stream, f"{name} token", there, {"Authorization": f"Bearer {token}"})
                nursery.start_soon(watched.stream, f"{name} session", there, {"Cookie": cookie})
                nursery.start_soon(watched.socket, f"{name} socket", there)
            await watched.all_open.wait()
            assert watched.ends == {}
            path = f"/api/tokens/{token.split('_')[1]}"
            answer = await trio.to_thread.run_sync(Person(judge.url, judge.token).send, "DELETE", path)
            assert answer.status_code == 204
    assert watched.ends == {
        f"{name} {what}": end
        for name in NODES
        for what, end in (("token", "end"), ("session", "end"), ("socket", 1008))
    }
    async with httpx.AsyncClient() as client:
        for there in places.values():
            for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": cookie}):
                assert (await client.get(f"{there.url}/api/tasks", headers=headers)).status_code == 401


def test_the_key_of_a_cluster_is_changed_while_it_runs(made: Cluster) -> None:
    file = made.directory / "key"
    first = file.read_text().strip()

    def is_linked() -> bool:
        everybody = sorted(made.nodes)
        for name in made.nodes:
            with made.client(name) as client:
                if client.call("list_tasks", limit=0)["covers"] != everybody:
                    return False
        return True

    for keys in ((first, NEXT_KEY), (NEXT_KEY, first), (NEXT_KEY,)):
        file.write_text("\n".join(keys) + "\n")
        for name in NODES:
            made.nodes[name].terminate()
            made.start(name)
            wait_for(is_linked, SECONDS, f"all nodes to be linked after {name}", made.nodes[name], poll=0.1)
    made.wait_balanced()
    assert not [name for name, node in made.nodes.items() if REFUSED in node.log_path.read_text("utf-8")]
    # The former key is worth nothing now.
    file.write_text(f"{first}\n")
    made.nodes["n3"].terminate()
    made.start("n3")
    wait_for(
        lambda: REFUSED in made.nodes["n3"].log_path.read_text("utf-8"), SECONDS, "n3 to be refused", made.nodes["n1"]
    )
    file.write_text(f"{NEXT_KEY}\n")
    made.nodes["n3"].terminate()
    made.start("n3")
    made.wait_balanced()
