from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from actors.cluster_config import ClusterConfig, TlsFiles
from runtime.clock import SECOND
from runtime.errors import InvalidRequest
from tocsin.cli.main import run
from tocsin.settings.cluster_config import cluster_config
from tocsin.settings.config import Config, load_config, shown
from tocsin.settings.setting_readers import Address, StoreUrl, hide_password

URL = "postgresql://tocsin:secret@db.example:5432/tocsin?sslmode=verify-full"
CLUSTERED: dict[str, Any] = {
    "coordination.enabled": True,
    "coordination.servers": ["zk1:2181", "zk2:2181"],
    "store.url": URL,
}


def loaded(**more: object) -> Config:
    return load_config({}, None, CLUSTERED | {key.replace("__", "."): value for key, value in more.items()}).config


def secret(path: Path, text: str) -> str:
    file = path / "secret"
    file.write_text(text)
    return str(file)


def test_a_node_alone_is_the_default() -> None:
    config = load_config({}).config
    assert not config.clustered
    assert (config.coordination_servers, config.store_url, config.executor) == ((), StoreUrl(""), True)


def test_the_file_of_a_cluster_goes_to_the_floor_below(tmp_path: Path) -> None:
    key, credentials = tmp_path / "key", tmp_path / "credentials"
    key.write_text("0123456789abcdef\n\n")
    credentials.write_text(" cluster:pass:word \n")
    (tmp_path / "tocsin.toml").write_text(f"""
name = "a"
[coordination]
enabled = true
servers = ["zk1:2181", "[::1]:2181"]
session_timeout = "4s"
root = "/teams/night"
min_nodes = 3
gate_timeout = "2m"
credentials_file = "{credentials}"
[coordination.tls]
ca = "zk.pem"
[store]
url = "{URL}"
grace = "3s"
[cluster]
listen = "10.0.0.1:7401"
advertise = "a.example:7401"
key_file = "{key}"
lease = "6s"
[cluster.tls]
ca = "ca.pem"
certificate = "a.pem"
key = "a.key"
[node]
executor = false
[node.labels]
zone = "eu"
disk = "ssd"
[placement]
strategy = "mypackage.rules:Nearest"
offer_timeout = "500ms"
""")
    config = load_config({}, tmp_path / "tocsin.toml").config
    assert cluster_config(config, config.name) == ClusterConfig(
        name="a",
        servers=("zk1:2181", "[::1]:2181"),
        store_url=URL,
        session_seconds=4.0,
        root="/teams/night",
        credentials=("cluster", "pass:word"),
        coordination_tls=TlsFiles(Path("zk.pem")),
        min_nodes=3,
        gate_seconds=120.0,
        listen="10.0.0.1:7401",
        advertise="a.example:7401",
        key=b"0123456789abcdef",
        tls=TlsFiles(Path("ca.pem"), Path("a.pem"), Path("a.key")),
        labels=(("disk", "ssd"), ("zone", "eu")),
        executor=False,
        lease_seconds=6.0,
        store_grace_seconds=3.0,
        offer_seconds=0.5,
        strategy="mypackage.rules:Nearest",
    )


def test_the_settings_have_the_defaults_of_the_floor_below() -> None:
    config = cluster_config(loaded(), "n")
    assert config == ClusterConfig("n", ("zk1:2181", "zk2:2181"), URL)


def test_the_environment_sets_what_the_file_does() -> None:
    environment = {
        "TOCSIN_COORDINATION_ENABLED": "True",
        "TOCSIN_COORDINATION_SERVERS": "zk1:2181, zk2:2181",
        "TOCSIN_STORE_URL": URL,
        "TOCSIN_NODE_LABELS": "zone=eu, disk=ssd",
        "TOCSIN_NODE_EXECUTOR": "false",
    }
    config = load_config(environment).config
    assert (config.coordination_servers, config.executor) == (("zk1:2181", "zk2:2181"), False)
    assert config.labels == {"zone": "eu", "disk": "ssd"}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"store__url": ""}, "store.url: a cluster needs a store that all of its nodes reach"),
        ({"coordination__enabled": False}, "without coordination two nodes on it would both own everything"),
        ({"coordination__servers": []}, "coordination.servers: coordination.enabled needs them"),
        ({"coordination__embedded": True}, "coordination.embedded and coordination.servers: one of them"),
        ({"cluster__listen": "10.0.0.1:7401"}, "cluster.listen: 10.0.0.1:7401 can be reached from other machines"),
        ({"cluster__listen": "0.0.0.0:7401", "cluster__key_file": "k"}, "cluster.advertise: cluster.listen 0.0.0.0"),
        ({"cluster__tls__ca": "c"}, "cluster.tls: ca, certificate and key belong together; it has ca"),
        ({"cluster__tls__key": "c"}, "cluster.tls: ca, certificate and key belong together; it has key"),
        ({"coordination__tls__certificate": "c"}, "coordination.tls: ca, and certificate with key; it has certificate"),
        ({"coordination__session_timeout": "500ms"}, "coordination.session_timeout: from 1s to 1m"),
        ({"coordination__root": "tocsin"}, "coordination.root: a path such as /tocsin"),
        ({"coordination__root": "/"}, "coordination.root: a path such as /tocsin"),
        ({"coordination__root": "/a/../b"}, "coordination.root: a path such as /tocsin"),
        ({"coordination__servers": ["zk1"]}, "coordination.servers: HOST:PORT"),
        ({"coordination__enabled": 1}, "coordination.enabled: true or false, not 1"),
        ({"store__url": "mysql://a:hush@b/c"}, "not 'mysql://a:***@b/c'"),
        ({"store__url": "postgresql://a:hush@[b/c"}, "store.url: empty, or postgresql://"),
        ({"node__labels": {"zone": 3}}, "node.labels.zone: a text, not 3"),
        ({"node__labels": 3}, "node.labels: values by name"),
        ({"placement__strategy": "a b"}, "placement.strategy: one of least_loaded"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        loaded(**settings)
    assert complaint in str(caught.value)
    assert "hush" not in str(caught.value)


def test_what_is_secured_may_listen_for_all() -> None:
    assert loaded(cluster__listen="10.0.0.1:7401", cluster__key_file="k").cluster_listen == Address("10.0.0.1", 7401)
    tls = {"cluster__tls__ca": "c", "cluster__tls__certificate": "c", "cluster__tls__key": "k"}
    assert loaded(cluster__listen="0.0.0.0:7401", cluster__advertise="a:1", **tls).cluster_ca == "c"


def test_an_embedded_cluster_needs_nothing_else() -> None:
    config = load_config({}, None, {"coordination.embedded": True}).config
    assert config.clustered and config.session_timeout == 5 * SECOND


@pytest.mark.parametrize(
    ("key", "text", "complaint"),
    [
        ("cluster.key_file", "short\n", "16 characters or more in the first line of .*, it has 5"),
        (
            "cluster.key_file",
            "the key of a cluster\nshort\n",
            "16 characters or more in the second line of .*, it has 5",
        ),
        ("cluster.key_file", "the key of a cluster\n" * 3, "has 3 lines"),
        ("cluster.key_file", "\nthe key of a cluster\n", "first line of .*, it has 0"),
        ("coordination.credentials_file", "nobody\n", "USER:PASSWORD in the first line"),
        ("coordination.credentials_file", "user:\n", "USER:PASSWORD in the first line"),
    ],
)
def test_a_secret_of_another_shape_is_refused(tmp_path: Path, key: str, text: str, complaint: str) -> None:
    config = load_config({}, None, CLUSTERED | {key: secret(tmp_path, text)}).config
    with pytest.raises(InvalidRequest, match=complaint):
        cluster_config(config, "n")


def test_a_second_line_is_a_key_that_others_may_have(tmp_path: Path) -> None:
    def keys(text: str) -> tuple[bytes | None, tuple[bytes, ...]]:
        found = cluster_config(loaded(cluster__key_file=secret(tmp_path, text)), "n")
        assert "key of" not in repr(found)
        return found.key, found.also

    assert keys("  the key of a cluster\n\n") == (b"the key of a cluster", ())
    assert keys("the new key of a cluster\nthe key of a cluster") == (
        b"the new key of a cluster",
        (b"the key of a cluster",),
    )


def test_a_secret_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"cluster\.key_file: .*none: No such file"):
        cluster_config(loaded(cluster__key_file=str(tmp_path / "none")), "n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidRequest, match="is no text"):
        cluster_config(loaded(cluster__key_file=str(tmp_path / "binary")), "n")


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("postgresql://user:hush@host:5432/db", "postgresql://user:***@host:5432/db"),
        ("postgresql://user@host/db", "postgresql://user@host/db"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://u:hu@sh@host/db?a=1", "postgresql://u:***@host/db?a=1"),
        ("postgresql:///db?host=h&password=hush&a=1", "postgresql:///db?host=h&password=***&a=1"),
        ("", ""),
    ],
)
def test_passwords_are_hidden(url: str, hidden: str) -> None:
    assert hide_password(url) == str(StoreUrl(url)) == hidden
    assert "hush" not in repr(attrs.evolve(Config(), store_url=StoreUrl(url)))
    assert "hush" not in shown("store.url", attrs.evolve(Config(), store_url=StoreUrl(url)))


def test_no_command_shows_the_password(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TOCSIN_COORDINATION_ENABLED", "true")
    monkeypatch.setenv("TOCSIN_COORDINATION_SERVERS", "zk:2181")
    monkeypatch.setenv("TOCSIN_STORE_URL", URL)
    assert (run(["config"]), run(["config", "--json"])) == (0, 0)
    said = capsys.readouterr()
    assert "postgresql://tocsin:***@db.example:5432/tocsin" in said.out
    assert ":secret" not in said.out + said.err and "secret@" not in said.out + said.err
    secrets = cluster_config(load_config({}, None, CLUSTERED).config, "n")
    assert "secret" not in repr(secrets)


ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "examples/cluster.toml").read_text("utf-8")
SHOWN = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/guides/cluster.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", [EXAMPLE, *SHOWN])
def test_the_files_that_the_documents_show_are_those_of_a_cluster(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text("0123456789abcdef")
    (tmp_path / "node.toml").write_text(text.replace("/etc/tocsin/cluster-key", str(tmp_path / "key")))
    config = load_config({}, tmp_path / "node.toml").config
    cluster = cluster_config(config, config.name)
    assert (cluster.name, len(cluster.servers), cluster.min_nodes) == ("node-a", 3, 2)
    assert (cluster.session_seconds, cluster.lease_seconds, cluster.key) == (5.0, 5.0, b"0123456789abcdef")


def test_what_may_be_left_out_of_the_example_may_be_said_too() -> None:
    said = "\n".join(re.sub(r"^# (?=\[\w+\.tls\]|\w+ = )", "", line) for line in EXAMPLE.splitlines())
    assert tomllib.loads(said)["cluster"]["tls"].keys() == {"ca", "certificate", "key"}
