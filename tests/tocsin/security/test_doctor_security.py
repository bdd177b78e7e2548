"""The doctor finds what lets others in: files, addresses, rights at the servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from kazoo.client import KazooClient
from kazoo.security import OPEN_ACL_UNSAFE, READ_ACL_UNSAFE, make_digest_acl

from actors.cluster_config import ClusterConfig
from tests.servers import server_directory
from tests.tocsin.doctor.test_doctor import troubles
from tocsin.doctor.findings import Level
from tocsin.doctor.machine import of_data_files, of_exposure, of_secrets
from tocsin.doctor.servers import of_zookeeper
from tocsin.embedded.zookeeper import EmbeddedZooKeeper
from tocsin.settings.config import Config
from tocsin.settings.setting_readers import Address

ALL = Address("0.0.0.0", 7400)
LINKS = Address("10.0.0.1", 7401)


@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        ({}, []),
        ({"listen": ALL}, ["warning", "warning"]),
        ({"listen": ALL, "hosts": ("ring.example",)}, ["warning"]),
        ({"listen": ALL, "tls_certificate": "a.pem"}, []),
        ({"cluster_listen": LINKS}, []),
        ({"cluster_listen": LINKS, "coordination_enabled": True}, ["warning"]),
        ({"cluster_listen": LINKS, "coordination_enabled": True, "cluster_certificate": "a.pem"}, []),
    ],
)
def test_what_listens_beyond_this_machine_is_found(changes: dict[str, Any], levels: list[str]) -> None:
    found = list(of_exposure(attrs.evolve(Config(), **changes)))
    assert [level for _, level in troubles(found)] == levels
    assert all(one.advice and one.why for one in found if one.level is not Level.GOOD)


@pytest.mark.parametrize(
    "setting",
    ["tls_key", "cluster_key", "coordination_key", "cluster_key_file", "coordination_credentials_file", "queue_token_file",
     "mail_password_file", "webhooks_secrets_file", "amqp_url_file"],
)  # fmt: skip
def test_every_file_that_holds_a_secret_is_looked_at(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "file"
    file.write_text("secret")
    for mode, levels in ((0o600, []), (0o640, ["bad"]), (0o604, ["bad"])):
        file.chmod(mode)
        found = list(of_secrets(Config(data=tmp_path, **{setting: str(file)})))
        assert [level for _, level in troubles(found)] == levels


def test_no_setting_that_names_a_secret_file_is_left_out() -> None:
    """A key, a password or a token in a file of its own has to be looked at by the test above."""
    looked_at = {"tls_key", "cluster_key", "coordination_key"}
    named = {
        one.name for one in attrs.fields(Config)
        if one.name.endswith(("_key_file", "_credentials_file", "_token_file", "_password_file", "_secrets_file", "_url_file"))
    }  # fmt: skip
    assert named | looked_at == {
        "tls_key", "cluster_key", "coordination_key", "cluster_key_file", "coordination_credentials_file", "queue_token_file",
        "mail_password_file", "webhooks_secrets_file", "amqp_url_file",
    }  # fmt: skip


def test_files_of_the_node_that_others_may_use_are_found(tmp_path: Path) -> None:
    for name in ("tocsin.db", "tocsin.db-wal", "node.json", "jobs.py"):
        (tmp_path / name).touch(mode=0o600)
    assert troubles(of_data_files(tmp_path)) == []
    (tmp_path / "tocsin.db-wal").chmod(0o644)
    (tmp_path / "jobs.py").chmod(0o644)
    assert troubles(of_data_files(tmp_path)) == [("data directory", "warning")]
    (tmp_path / "tocsin.db-wal").chmod(0o600)
    (tmp_path / "token").symlink_to(tmp_path / "jobs.py")
    [one] = [one for one in of_data_files(tmp_path) if one.level is Level.WARNING]
    assert "leads to" in one.what
    assert list(of_data_files(tmp_path / "none")) == []


def test_a_root_that_anybody_may_change_is_found() -> None:
    with server_directory("doctor-acl") as directory, EmbeddedZooKeeper(directory / "zookeeper") as zookeeper:
        client = KazooClient(zookeeper.addresses[0], auth_data=[("digest", "ring:bell")])
        client.start()
        try:
            client.create("/ring", acl=OPEN_ACL_UNSAFE)
            config = ClusterConfig("n", zookeeper.addresses, "", root="/ring", credentials=("ring", "bell"))
            [one] = [one for one in of_zookeeper(config) if one.level is Level.BAD]
            assert "anybody may write, create, delete, admin at /ring" in one.what
            own = make_digest_acl("ring", "bell", all=True)
            client.set_acls("/ring", [own, *READ_ACL_UNSAFE])
            assert [one for one in of_zookeeper(config) if one.level is Level.BAD] == []
        finally:
            client.stop()
            client.close()
