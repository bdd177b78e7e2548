"""What an installation is made of, exactly: `requirements.lock` with the hash of every package, and `sbom.cdx.json`.

    python -m tests.supply_chain      writes both: the versions that are installed here, with the hashes that pip finds

The lock is for `pip install --require-hashes -r requirements.lock`, on Linux with the versions of Python in `PYTHONS`. The bill
of materials (CycloneDX 1.6) is made of the lock and the installed packages' own metadata; it holds no time and no place, so it
is the same wherever it is made.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any, Final, cast

import attrs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.source import ROOT

LOCK: Final = ROOT / "requirements.lock"
SBOM: Final = ROOT / "sbom.cdx.json"

PYTHONS: Final = ("3.11", "3.12", "3.13")
"""Versions of CPython that the lock has hashes for."""

EXTRAS: Final = ("amqp", "otel")
"""What can be installed beside; the tools of development are no part of an installation."""

HEAD: Final = f"""\
# Every package of an installation with its hashes, for Linux and CPython {", ".join(PYTHONS)}.
# `python -m tests.supply_chain` writes it anew. To install by it:
# pip install --require-hashes -r requirements.lock, then pip install --no-deps tocsin
"""

RESOLVE_SECONDS: Final = 300.0


@attrs.frozen
class Locked:
    """A package at a version, with the SHA-256 of each file that may be installed."""

    name: str
    version: str
    hashes: tuple[str, ...]


def required() -> list[str]:
    """What the project asks for, with its extras."""
    project: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]


def installed() -> dict[str, str]:
    """Name -> version of all that an installation needs, as it is here."""
    found: dict[str, str] = {}
    waiting = [Requirement(one) for one in required()]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        extras = wanted.extras or {""}
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        known, found[name] = name in found, metadata.version(name)
        if known and not wanted.extras:
            continue
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                needed.marker = None
                waiting.append(needed)
    return dict(sorted(found.items()))


def resolved(python: str, pins: Mapping[str, str]) -> Iterator[Locked]:
    """What pip would install for a version of Python, with the hash of each file."""
    with tempfile.TemporaryDirectory() as folder:
        constraints, report = Path(folder) / "constraints.txt", Path(folder) / "report.json"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        subprocess.run(
            [
                sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--only-binary=:all:",
                "--python-version", python, "--target", folder, "--report", report, "--constraint", constraints, *required(),
            ],
            check=True,
            timeout=RESOLVE_SECONDS,
        )  # fmt: skip
        for one in json.loads(report.read_text("utf-8"))["install"]:
            name, version = canonicalize_name(one["metadata"]["name"]), one["metadata"]["version"]
            yield Locked(name, version, (one["download_info"]["archive_info"]["hashes"]["sha256"],))


def merged(all_of_them: Iterable[Locked]) -> list[Locked]:
    """One entry for each package. Raises ValueError for two versions of one."""
    found: dict[str, Locked] = {}
    for one in all_of_them:
        known = found.setdefault(one.name, one)
        if known.version != one.version:
            raise ValueError(f"{one.name}: {known.version} and {one.version}")
        found[one.name] = attrs.evolve(known, hashes=tuple(sorted({*known.hashes, *one.hashes})))
    return [found[name] for name in sorted(found)]


def lock_text(locked: Iterable[Locked]) -> str:
    """The lock as pip reads it."""
    return HEAD + "".join(
        f"{one.name}=={one.version}" + "".join(f" \\\n    --hash=sha256:{digest}" for digest in one.hashes) + "\n"
        for one in locked
    )


def read_lock(text: str) -> list[Locked]:
    """What a lock says."""
    lines = text.replace(" \\\n", " ").splitlines()
    entries = [line.split() for line in lines if line and not line.startswith("#")]
    return [
        Locked(*pin.split("=="), tuple(one.removeprefix("--hash=sha256:") for one in hashes))
        for pin, *hashes in entries
    ]


def bill_of_materials(locked: Iterable[Locked]) -> str:
    """The bill of materials as text."""
    components = []
    for one in locked:
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{one.name}@{one.version}",
            "name": one.name,
            "version": one.version,
            "purl": f"pkg:pypi/{one.name}@{one.version}",
            "properties": [{"name": "tocsin:sha256", "value": digest} for digest in one.hashes],
        }
        if licence := licence_of(one.name):
            component["licenses"] = [licence]
        components.append(component)
    project: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    own = f"pkg:pypi/tocsin@{project['version']}"
    made = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "tocsin",
                "version": project["version"],
                "purl": own,
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": components,
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def licence_of(name: str) -> dict[str, Any] | None:
    """The licence that an installed package states: an expression where it has one, else its name for it."""
    try:
        told = cast(Message, metadata.metadata(name))
    except metadata.PackageNotFoundError:
        return None
    if expression := told.get("License-Expression"):
        return {"expression": expression}
    classified = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier", []) if one.startswith("License ::")]
    text = classified[0] if classified else re.split(r"[\r\n]", told.get("License") or "")[0][:100]
    return {"license": {"name": text}} if text else None


def main() -> None:
    """Write both files."""
    pins = installed()
    locked = merged(one for python in PYTHONS for one in resolved(python, pins))
    LOCK.write_text(lock_text(locked), encoding="utf-8")
    SBOM.write_text(bill_of_materials(locked), encoding="utf-8")


if __name__ == "__main__":
    main()
