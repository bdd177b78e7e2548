"""What the operations about files of definitions do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from runtime.errors import InvalidRequest, StaleVersion

from ..access.commands import check_commands
from ..operations.calls import Call
from ..vocabulary.fields import Fields, one_of, show
from ..vocabulary.views import Json
from ..vocabulary.words import MAX_LABEL
from .applying import carry_out
from .documents import FileSet, read_sources, reading_files
from .exporting import FORMATS, export_text
from .pieces import worked
from .planning import MOST_FIRES, USUAL_FIRES, Plan, digest_of, make_plan, plan_json

if TYPE_CHECKING:
    from actors.node import Node


@attrs.frozen
class _Request:
    files: FileSet
    label: str | None
    prune: bool
    fires: int
    digest: str | None


async def _read(node: Node, call: Call) -> _Request:
    fields = Fields(call["body"])
    sources = read_sources(fields.take("files"))
    label, prune = fields.text("owner"), fields.flag("prune") or False
    fires = fields.whole("fires", 0, MOST_FIRES)
    digest = fields.text("digest")
    fields.finish()
    if label is not None and not (1 <= len(label) <= MAX_LABEL and label.isprintable() and label == label.strip()):
        raise InvalidRequest(f"owner: 1 to {MAX_LABEL} printable characters, not {show(label)}")
    # Megabytes of YAML take seconds.
    files = await worked(node, reading_files(sources))
    return _Request(files, label, prune, USUAL_FIRES if fires is None else fires, digest)


async def _plan(node: Node, call: Call, request: _Request) -> Plan:
    found = await make_plan(node, request.files, owner=call.owner, label=request.label, prune=request.prune)
    written = [change for change in found.changes if change.actions and change.target is not None]
    made = [change.definition for change in written]
    former = [change.task.definition for change in written if change.task is not None]
    await check_commands(node, call.caller, made, former)
    return found


async def plan(node: Node, call: Call) -> Json:
    """What applying the files would change; nothing is written."""
    request = await _read(node, call)
    return await plan_json(node, await _plan(node, call, request), request.fires)


async def apply_plan(node: Node, call: Call) -> Json:
    """Make it so. With a `digest`, only if the plan is still the one that was shown."""
    request = await _read(node, call)
    found = await _plan(node, call, request)
    if request.digest is not None and request.digest != await digest_of(node, found):
        raise StaleVersion("digest: definitions were changed since the plan was made: look at it anew")
    shown = await plan_json(node, found, request.fires)
    done = await carry_out(node, request.files, found, actor=call.actor, owner=call.owner, label=request.label)
    return shown | {"done": done}


async def export(node: Node, call: Call) -> Json:
    """All definitions as the text of a file."""
    return await export_text(node, one_of(call["format"], "format", FORMATS))
