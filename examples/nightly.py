"""The schedule of a small business, for rehearsals: `tocsin rehearse examples/nightly.py --days 30 --kill n2@3d2h:2h`.

The handlers do nothing: a rehearsal does not call them. What matters is when they are due, and how long they are said to take.
"""

from __future__ import annotations

import tocsin


@tocsin.task("warehouse.load", cron="0 2 * * *", timezone="Europe/Berlin", timeout="3h", overlap="skip")
async def warehouse_load(ctx: tocsin.Context) -> None:
    """The long one of the night; while clocks are changed there may be no 02:00."""


@tocsin.task(
    "report.daily", cron="30 6 * * mon-fri", timezone="Europe/Berlin", retry=tocsin.Retry(max_retries=3, delay="5m")
)
async def report_daily(ctx: tocsin.Context) -> None:
    """On working days."""


@tocsin.task("invoices.send", trigger={"everyMonths": 1, "day": "last", "at": "18:00", "timezone": "Europe/Berlin"})
async def invoices_send(ctx: tocsin.Context) -> None:
    """On the last day of each month."""


@tocsin.task("orders.sync", every="15m", overlap="skip", catch_up="latest")
async def orders_sync(ctx: tocsin.Context) -> None:
    """All day long."""


tocsin.declare("backup", "command", cron="0 */6 * * *", parameters={"argv": ["./backup.sh"]})
tocsin.declare("shop.ping", "http", every="1h", parameters={"url": "https://shop.example.com/health"})
