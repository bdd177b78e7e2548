"""The rules of a node's configuration by which the placement strategy `rules` prefers nodes."""

from __future__ import annotations

from typing import Final

from actors.rules.placing import Rule
from runtime.errors import InvalidRequest

from ..shown import show

_EXAMPLE: Final = "a rule such as 'type=video.* tag=gpu -> gpu=yes'"
_ONCE: Final = ("type", "queue")
_LABEL: Final = "label."

MAX_RULES: Final = 100
"""Rules of a node: all are gone through for an execution that none of them is about."""


def read_rules(value: object, field: str) -> tuple[str, ...]:
    """The texts of rules, each of them checked: a list, or one text with commas between them. Raises InvalidRequest."""
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest(f"{field}: a list of rules, not {show(value)}")
    if len(texts) > MAX_RULES:
        raise InvalidRequest(f"{field}: at most {MAX_RULES} rules, not {len(texts)}")
    found = tuple(text.strip() for text in texts if text.strip())
    parse_rules(found, field)
    return found


def parse_rules(texts: tuple[str, ...], field: str = "placement.rules") -> tuple[Rule, ...]:
    """The rules that these texts are.

    A rule is what a task has, an arrow, and labels of the nodes on which it is preferred: `type=video.* tag=gpu -> gpu=yes`.
    To the left, with blanks between them: `type=` (with * at its end: all that begin so), `queue=`, `tag=`, `label.NAME=`.
    Nothing there is every task.
    """
    return tuple(_rule(text, field) for text in texts)


def _rule(text: str, field: str) -> Rule:
    left, _, right = text.partition("->")
    nodes = tuple(sorted(_pair(word, field, text) for word in right.split()))
    if not nodes:
        raise InvalidRequest(f"{field}: {_EXAMPLE}, not {show(text)}")
    tags: list[str] = []
    labels: list[tuple[str, str]] = []
    once: dict[str, str] = {}
    for word in left.split():
        name, wanted = _pair(word, field, text)
        if name in _ONCE and name not in once:
            once[name] = wanted
        elif name == "tag":
            tags.append(wanted)
        elif name.startswith(_LABEL) and name != _LABEL:
            labels.append((name.removeprefix(_LABEL), wanted))
        else:
            raise InvalidRequest(f"{field}: type or queue, each once, tag, label.NAME, not {show(name)}: {show(text)}")
    return Rule(nodes, once.get("type"), tuple(tags), tuple(labels), once.get("queue"))


def _pair(word: str, field: str, text: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    if not name or not value or not word.isprintable():
        raise InvalidRequest(f"{field}: {_EXAMPLE}, not {show(text)}")
    return name, value
