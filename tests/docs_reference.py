"""The tables of the page that lists every field, setting, operation and command: `python -m tests.docs_reference` writes them.

They are made of the tables that the program itself goes by, so they say what is true; a test compares them with the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cyclopts import App

from actors.model.policy import DEFAULT_POLICIES
from tocsin.cli.bodies import OPTIONS
from tocsin.cli.main import app
from tocsin.operations.table import OPERATIONS
from tocsin.settings.config import SETTINGS, Config, shown
from tocsin.vocabulary.kinds import Choice, Field
from tocsin.vocabulary.policies import policies_json
from tocsin.vocabulary.words import (
    ACTIONS,
    BOUNDS,
    CALENDAR_RULE,
    CONCURRENCY,
    DEPENDENCIES,
    EVENT,
    EXTRA,
    PLACEMENT,
    POLICIES,
    RETRY,
    SINGLES,
    TASK,
    UNION,
)

PAGE: Final = Path(__file__).parent.parent / "docs" / "guides" / "reference.md"

MARKED: Final = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def code(text: object) -> str:
    """A text as code, nothing for nothing."""
    return f"`{text}`" if text not in (None, "") else ""


def said(one: Field) -> str:
    """What a field is, with the words that there are to choose from."""
    if not isinstance(one.kind, Choice):
        return one.about
    return f"{one.about}: {', '.join(code(str(word)) for word in one.kind.among)}"


def option(path: str) -> str:
    """The options that fill a field."""
    return ", ".join(code(one) for one in OPTIONS.get(path, "").split(", "))


def fields(listed: Iterable[Field], path: str) -> str:
    """A table of fields with their options."""
    return table(
        ("field", "what it is", "option"), [(code(one.key), said(one), option(f"{path}{one.key}")) for one in listed]
    )


def policies() -> str:
    """Policies with their defaults, those inside of objects by their whole names."""
    defaults = policies_json(DEFAULT_POLICIES)
    rows: list[tuple[str, str, str, str]] = []
    for one in POLICIES:
        inner = {"retry": (RETRY, defaults["retry"]), "concurrency": (CONCURRENCY, {})}.get(one.key)
        if inner is None:
            rows.append(_policy(one, one.key, defaults[one.key]))
        else:
            rows += [_policy(part, f"{one.key}.{part.key}", inner[1].get(part.key)) for part in inner[0]]
    return table(("policy", "what it is", "default", "option"), rows)


def _policy(one: Field, name: str, default: Any) -> tuple[str, str, str, str]:
    usual = "" if default in (None, []) else code(default)
    return code(name), said(one), usual, option(f"policies.{name}")


def triggers() -> str:
    """One row for each key that says when, with what goes with it."""
    rows = [
        (
            code(key),
            _of(key, listed),
            ", ".join(code(one.key) for one in listed if one.key != key),
            option(f"trigger.{key}"),
        )
        for key, listed in SINGLES.items()
    ]
    rows.append(
        (code(UNION), "a list of the forms above: fire when any of them does", code("timezone"), "several of them")
    )
    return table(("key", "when", "goes with it", "option"), rows)


def _of(key: str, listed: Sequence[Field]) -> str:
    return next(one.about for one in listed if one.key == key)


def trigger_fields() -> str:
    """The fields that go with the keys, each once."""
    seen: dict[str, tuple[str, str, str]] = {}
    for listed in SINGLES.values():
        for one in listed:
            if one.key not in SINGLES:
                former = seen.get(one.key)
                parts = [] if former is None else former[1].split("; or ")
                about = "; or ".join(dict.fromkeys([*parts, said(one)]))
                seen[one.key] = code(one.key), about, option(f"trigger.{one.key}")
    seen["at"] = (
        code("at"),
        f"with {code('everyDays')} and its kin: {_of('at', SINGLES['everyDays'])}",
        option("trigger.at"),
    )
    return table(("field", "what it is", "option"), seen.values())


def actions() -> str:
    """The fields of actions by their kind."""
    return table(
        ("kind", "field", "what it is"),
        [(code(kind), code(one.key), said(one)) for kind, listed in ACTIONS.items() for one in listed],
    )


def settings() -> str:
    """The settings of a node."""
    rows = [
        (code(key), code(shown(key, Config())), field.metadata["unit"], field.metadata["reason"])
        for key, field in SETTINGS.items()
    ]
    return table(("setting", "default", "unit", "why"), rows)


def operations() -> str:
    """The operations, as REST has them."""
    rows = [
        (
            code(one.name),
            code(f"{one.method} /api{one.path}"),
            one.about,
            "" if one.permission == "none" else one.permission,
        )
        for one in OPERATIONS
    ]
    return table(("operation", "request", "what it does", "permission"), rows)


def commands(of: App = app, name: str = "tocsin") -> Iterator[tuple[str, str]]:
    """Every command with the first line of its help."""
    for word in of:
        if word.startswith("-"):
            continue
        inner = of[word]
        deeper = list(commands(inner, f"{name} {word}"))
        yield from deeper or [(f"{name} {word}", (inner.help or "").strip().split("\n")[0])]


def command_table() -> str:
    """The commands of the command line."""
    return table(("command", "what it does"), [(code(name), about) for name, about in commands()])


TABLES: Final[dict[str, Callable[[], str]]] = {
    "task": lambda: fields(TASK, ""),
    "extra": lambda: fields(EXTRA, "extra."),
    "triggers": triggers,
    "trigger_fields": trigger_fields,
    "bounds": lambda: fields(BOUNDS, "trigger."),
    "calendar_rule": lambda: table(("field", "what it is"), [(code(one.key), said(one)) for one in CALENDAR_RULE]),
    "policies": policies,
    "dependencies": lambda: fields(DEPENDENCIES, "dependencies."),
    "placement": lambda: fields(PLACEMENT, "placement."),
    "events": lambda: table(("field", "what it is"), [(code(one.key), said(one)) for one in EVENT]),
    "actions": actions,
    "settings": settings,
    "operations": operations,
    "commands": command_table,
}


def filled(text: str) -> str:
    """The page with the tables as they have to be."""
    return MARKED.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n\n{match[3]}", text)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
