"""What every operation takes and answers, joined from the tables of the subjects. A new operation has its rows in one of them."""

from __future__ import annotations

from typing import Final

from ...vocabulary.words import EXTRA
from .access import ACCESS_ANSWERS, ACCESS_BODIES
from .answers import NODE_ANSWERS, NODE_COMPONENTS
from .channels import CHANNEL_ANSWERS, channel_bodies
from .given import SHARED, SPAN, TASK_BODIES, object_schema, task_schema
from .overviews import OVERVIEW_ANSWERS, OVERVIEW_BODIES
from .parts import Schema
from .plans import PLAN_ANSWERS, PLAN_BODIES
from .queue import QUEUE_ANSWERS, queue_bodies
from .tasks import TASK_SCHEMAS

BODIES: Final[dict[str, Schema]] = {
    **TASK_BODIES,
    **PLAN_BODIES,
    **OVERVIEW_BODIES,
    **ACCESS_BODIES,
    **queue_bodies(task_schema((), {}), SPAN),
    **channel_bodies(SPAN, object_schema(EXTRA)),
}
"""Name of an operation -> its body."""

ANSWERS: Final[dict[str, Schema | None]] = {
    **NODE_ANSWERS,
    **OVERVIEW_ANSWERS,
    **PLAN_ANSWERS,
    **QUEUE_ANSWERS,
    **ACCESS_ANSWERS,
    **CHANNEL_ANSWERS,
}
"""Name of an operation -> what it answers; None: nothing (204)."""

COMPONENTS: Final[dict[str, Schema]] = {**SHARED, **TASK_SCHEMAS, **NODE_COMPONENTS}
"""Schemas that others refer to, by their names in the document."""
