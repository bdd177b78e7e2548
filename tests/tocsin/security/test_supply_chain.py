"""What is installed is what the lock and the bill of materials say, and no import asks the network."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.supply_chain import (
    LOCK,
    PYTHONS,
    SBOM,
    Locked,
    bill_of_materials,
    installed,
    lock_text,
    merged,
    read_lock,
)

WITHOUT_NETWORK = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto"):
        raise RuntimeError(f"{event} {arguments}")
sys.addaudithook(refuse)
import importlib, pkgutil
import runtime, actors, tocsin
for floor in (runtime, actors, tocsin):
    for found in pkgutil.walk_packages(floor.__path__, floor.__name__ + "."):
        if not found.name.endswith("__main__") and found.name != "actors.handling.worker":
            importlib.import_module(found.name)
print(len(sys.modules))
"""


def test_the_lock_is_what_is_installed_and_tested_here() -> None:
    locked = {one.name: one.version for one in read_lock(LOCK.read_text("utf-8"))}
    # Other versions of Python need less of it.
    assert installed().items() <= locked.items()


def test_every_package_of_the_lock_has_its_hashes() -> None:
    locked = read_lock(LOCK.read_text("utf-8"))
    assert len(locked) > 20
    for one in locked:
        assert one.hashes and all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in one.hashes), one
    # What is compiled has a file for each version of Python.
    assert len(next(one for one in locked if one.name == "msgspec").hashes) >= len(PYTHONS)
    assert lock_text(locked) == LOCK.read_text("utf-8")


def test_versions_with_known_holes_are_not_in_it() -> None:
    """h11 before 0.16 takes a chunk's end for another: a request can be hidden in a request (CVE-2025-43859)."""
    versions = {
        one.name: tuple(map(int, re.findall(r"\d+", one.version)[:2])) for one in read_lock(LOCK.read_text("utf-8"))
    }
    assert versions["h11"] >= (0, 16)


def test_the_bill_of_materials_is_of_the_lock() -> None:
    told = SBOM.read_text("utf-8")
    assert told == bill_of_materials(read_lock(LOCK.read_text("utf-8")))
    components = json.loads(told)["components"]
    assert [one["name"] for one in components if "licenses" not in one] == []
    assert not re.search(r"https?://|file:|/home|/opt|/work", told)


def test_two_versions_of_one_package_are_no_lock() -> None:
    assert merged([Locked("a", "1", ("x",)), Locked("a", "1", ("w",))]) == [Locked("a", "1", ("w", "x"))]
    with pytest.raises(ValueError, match="a: 1 and 2"):
        merged([Locked("a", "1", ("x",)), Locked("a", "2", ("x",))])


def test_an_import_asks_no_network() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 500
