"""croniter: one iterator for each expression and zone, which answers with a datetime."""

from datetime import datetime
from zoneinfo import ZoneInfo

import crons
import harness
from croniter import croniter


def prepare(expression, zone):
    return croniter(expression, crons.START.astimezone(ZoneInfo(zone)), ret_type=datetime).get_next


if __name__ == "__main__":
    harness.main(lambda: crons.walk(prepare))
