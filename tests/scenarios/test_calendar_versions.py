"""A changed calendar: tasks follow its newest version, but those that name one."""

from __future__ import annotations

import pytest

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from tocsin import testing
from tocsin.testing import VirtualNode


async def work(ctx: tocsin.Context) -> None:
    """Takes no time."""


@pytest.mark.parametrize("persistent", [True, False])
def test_who_names_a_version_keeps_to_it(persistent: bool) -> None:
    async def history(node: VirtualNode) -> None:
        await node.put_calendar("closed", {"days": ["2026-01-02"]})
        for name, version in (("follows", None), ("keeps", 1)):
            builder = node.new_task("work").named(name).with_cron("0 12 * * *").excluding("closed", version=version)
            await (builder if persistent else builder.non_persistent()).schedule()
        await node.put_calendar("closed", {"days": ["2026-01-03"]})
        await node.advance("4d")
        days = {
            name: [run.nominal.day for run in await node.runs(name) if run.nominal] for name in ("follows", "keeps")
        }
        assert days == {"follows": [1, 2, 4], "keeps": [1, 3, 4]}
        shown = (await node.task("keeps")).definition.bounds.calendars[0]
        assert (shown.calendar.version, shown.pinned) == (1, True)
        if persistent:
            await node.crash()
            await node.advance("1d")
            assert [run.nominal.day for run in await node.runs("keeps") if run.nominal] == [1, 3, 4, 5]

    testing.run(history, catalogue=Catalogue([task_type("work", work)]))
